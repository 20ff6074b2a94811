# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a notebook stands on: asked of the ``animus`` command, the same words its user would type.

This process reads no notebook and no repository itself. The path is the server's file browser's and stays below the
server's root, whatever links or dots are in it.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from pathlib import Path

import msgspec

SECONDS = 30.0
Answer = tuple[HTTPStatus, bytes]


async def context(root_folder: str, name: str) -> Answer:
    """Say where a notebook stands and what it declares.

    Args:
        root_folder: The server's root.
        name: The notebook's path below it.

    Returns:
        Status and JSON: the context, or ``code`` and ``detail`` of what is wrong.
    """
    file = find(root_folder, name)
    if file is None:
        return _problem(HTTPStatus.NOT_FOUND, "notebook_not_found", "there is no such notebook")
    command = [sys.executable, "-m", "animus", "context", "--json", "--", str(file)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        told, trouble = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", "the repository does not answer")
    if process.returncode:
        _, code, detail = f"{trouble.decode(errors='replace').strip()}: : ".split(": ", 2)
        return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail.removesuffix(": : "))
    return HTTPStatus.OK, told


def find(root_folder: str, name: str) -> Path | None:
    """Return where a notebook of the file browser lies, or None when there is none below the root."""
    root = Path(root_folder).expanduser().resolve()
    file = (root / name.lstrip("/")).resolve()
    return file if file.is_relative_to(root) and file.suffix == ".ipynb" and file.is_file() else None


def _problem(status: HTTPStatus, code: str, detail: str) -> Answer:
    return status, msgspec.json.encode({"code": code, "detail": detail, "status": status})
