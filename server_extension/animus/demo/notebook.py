# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cell, executed in a workspace's kernel through the Jupyter server, as JupyterLab does it."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from animus.demo.people import Person

CELL_SECONDS = 90


@dataclass(slots=True)
class CellOutput:
    """What a cell showed: text of its streams, and the data of its displays by MIME type."""

    text: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


def execute(person: Person, workspace: str, notebook: str, code: str) -> CellOutput:
    """Execute code in a new kernel of a notebook, and shut the kernel down.

    Args:
        person: Who does it.
        workspace: Path of the workspace, such as ``/user/ed/demo/``.
        notebook: Path of the notebook below the workspace's root.
        code: The cell.

    Returns:
        What the cell showed.
    """
    wish = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
    session = person.call("POST", f"{workspace}api/sessions", json=wish).raise_for_status().json()
    try:
        return asyncio.run(_execute(person, f"{workspace}api/kernels/{session['kernel']['id']}/channels", code))
    finally:
        person.call("DELETE", f"{workspace}api/sessions/{session['id']}")


async def _execute(person: Person, path: str, code: str) -> CellOutput:
    address = person.address.replace("http", "ws", 1) + path
    channel = await websocket_connect(HTTPRequest(address, headers={"Authorization": f"token {person.token}"}))
    try:
        return await asyncio.wait_for(_converse(channel, code), CELL_SECONDS)
    finally:
        channel.close()


async def _converse(channel: WebSocketClientConnection, code: str) -> CellOutput:
    request = uuid.uuid4().hex
    header = {"msg_id": request, "msg_type": "execute_request", "session": uuid.uuid4().hex, "username": "", "version": "5.4", "date": ""}  # fmt: skip  # noqa: E501
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}  # fmt: skip  # noqa: E501
    await channel.write_message(json.dumps(message))
    seen = CellOutput()
    while (raw := await channel.read_message()) is not None:
        reply = json.loads(raw)
        if reply.get("parent_header", {}).get("msg_id") == request and _note(seen, reply["msg_type"], reply["content"]):
            break
    return seen


def _note(seen: CellOutput, kind: str, content: dict[str, Any]) -> bool:
    """Note a message, and say whether it was the last."""
    if kind == "stream":
        seen.text += content["text"]
    elif kind in {"display_data", "execute_result"}:
        seen.displays.append(content["data"])
    elif kind == "error":
        seen.error = f"{content['ename']}: {content['evalue']}"
    return kind == "status" and content["execution_state"] == "idle"
