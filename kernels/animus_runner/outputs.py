# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Put what a kernel publishes into the notebook's cells, as nbclient does, and show text while it is written.

Rules kept here:

* a message goes to the cell whose request it answers, even when that cell has ended (output of a child process comes
  late); what answers no request of ours goes nowhere;
* nothing a kernel sends can break the supervisor: user code can publish what it likes, so a message that is not what
  it should be is dropped;
* adjacent texts of one stream are joined when their cell ends, as a front end shows them;
* there is a limit to what is kept, and the notebook says where it was reached.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from jupyter_client.session import Session
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode, ValidationError
from nbformat.v4 import new_output

from animus_contracts.run_events import StreamWritten

MAX_OUTPUT_BYTES = 64 << 20
"""How much of a notebook's output is kept."""

CUT = f"\n[output is cut here: a run keeps at most {MAX_OUTPUT_BYTES >> 20} MiB of it]\n"
DELIMITER = b"<IDS|MSG>"
DISPLAYED = frozenset({"stream", "display_data", "execute_result", "update_display_data"})
STREAMS = frozenset({"stdout", "stderr"})
MALFORMED = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValidationError, ValueError)


def decode(session: Session, frames: list[bytes]) -> dict[str, Any]:
    """Decode a message; lighter than the session's own way, which looks for dates everywhere.

    Raises:
        ValueError: If it is not signed with the session's key, or is not a message.
    """
    signature, *parts = frames[frames.index(DELIMITER) + 1 :]
    if not hmac.compare_digest(session.sign(parts[:4]), signature):
        raise ValueError("a message carries another signature")
    header, parent, metadata, content = map(json.loads, parts[:4])
    header["date"] = datetime.fromisoformat(header["date"])
    return {
        "header": header,
        "msg_id": header["msg_id"],
        "msg_type": header["msg_type"],
        "parent_header": parent,
        "metadata": metadata,
        "content": content,
        "buffers": parts[4:],
    }


class Outputs:
    """The outputs of one notebook.

    Args:
        session: Checks signatures.
        client: nbclient's client for the notebook; it knows displays and widgets.
        observe: Takes every text as it is written.
        autosave: Called after every message that changed the notebook.
    """

    def __init__(
        self,
        session: Session,
        client: NotebookClient,
        observe: Callable[[StreamWritten], None],
        autosave: Callable[[], None],
    ) -> None:
        self._session = session
        self._client = client
        self._observe = observe
        self._autosave = autosave
        self._room = MAX_OUTPUT_BYTES
        self._places: dict[str, tuple[NotebookNode, int]] = {}
        self._ended: set[str] = set()

    def expect(self, request: str, cell: NotebookNode, index: int) -> None:
        """Send the answers to a request to a cell from now on."""
        self._places[request] = (cell, index)

    def take(self, frames: list[bytes]) -> str:
        """Take in a message; return the request that is done with it, or an empty text."""
        try:
            return self._take(frames)
        except MALFORMED:
            return ""

    def _take(self, frames: list[bytes]) -> str:
        if self._room < 0 and json.loads(frames[frames.index(DELIMITER) + 2])["msg_type"] in DISPLAYED:
            return ""
        message = decode(self._session, frames)
        request = message["parent_header"].get("msg_id", "")
        if request not in self._places:
            return ""
        cell, index = self._places[request]
        if message["msg_type"] == "stream":
            self._show(cell, **message["content"])
        try:
            self._client.process_message(message, cell, index)
        except CellExecutionComplete:
            return str(request)
        self._count(frames, cell)
        if request in self._ended:
            self._join(cell, index)
        self._autosave()
        return ""

    def _count(self, frames: list[bytes], cell: NotebookNode) -> None:
        self._room -= sum(map(len, frames))
        if self._room < 0:
            cell.outputs.append(new_output("stream", name="stderr", text=CUT))
            self._show(cell, "stderr", CUT)

    def _show(self, cell: NotebookNode, name: str, text: str) -> None:
        if name in STREAMS and isinstance(text, str):
            now = datetime.now(UTC)
            self._observe(StreamWritten(sequence=0, at=now, cell_id=cell.get("id", ""), stream=name, text=text))

    def end(self, request: str) -> None:
        """Join the texts of a cell that has ended."""
        self._ended.add(request)
        self._join(*self._places[request])

    def _join(self, cell: NotebookNode, index: int) -> None:
        outputs = cell.outputs
        starts = [not (place and _continues(outputs[place - 1], output)) for place, output in enumerate(outputs)]
        groups = [group - 1 for group in accumulate(starts)]
        texts: dict[int, list[str]] = {}
        for group, output in zip(groups, outputs, strict=True):
            if output.output_type == "stream":
                texts.setdefault(group, []).append(output.text)
        joined = [output for output, is_first in zip(outputs, starts, strict=True) if is_first]
        for group, pieces in texts.items():
            joined[group].text = "".join(pieces)
        cell.outputs = joined
        for places in self._client._display_id_map.values():  # noqa: SLF001 - later updates find outputs by place
            if index in places:
                places[index] = [groups[place] for place in places[index] if place < len(groups)]


def _continues(before: NotebookNode, output: NotebookNode) -> bool:
    return bool(output.output_type == before.output_type == "stream" and output.name == before.name)
