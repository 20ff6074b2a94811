# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Run one cell after the other in a kernel, and keep what they put out as nbclient does.

One thread waits for everything at once: outputs, replies, the end of the kernel, a cancellation and the deadline.
Messages become outputs by nbclient's own code, so a notebook looks the same as after ``papermill``; adjacent texts of
one stream are joined when their cell ends, as a front end shows them. Nobody answers a prompt: the kernel is told so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

import zmq
from jupyter_client.session import Session
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode
from nbformat.v4 import new_output

from animus_contracts.executions import StreamWritten
from animus_runner.kernels import Kernel, KernelDiedError

MAX_OUTPUT_BYTES = 64 << 20
"""How much of a notebook's output is kept."""

CUT = f"\n[output is cut here: a run keeps at most {MAX_OUTPUT_BYTES >> 20} MiB of it]\n"
GRACE_SECONDS = 2.0
"""How long an interrupted cell has to end by itself."""

IDLE_SECONDS = 10.0
"""How long to wait for the last output of a cell that has ended."""

SUBSCRIBE_MILLISECONDS = 300
DELIMITER = b"<IDS|MSG>"
OUTPUTS = frozenset({"stream", "display_data", "execute_result", "update_display_data"})


class StoppedError(Exception):
    """The run was ended from outside while a cell ran.

    Attributes:
        is_timeout: Whether its time was over; else somebody canceled it.
    """

    def __init__(self, *, is_timeout: bool) -> None:
        super().__init__("timeout" if is_timeout else "canceled")
        self.is_timeout = is_timeout


class Cells:
    """The dialogue with one kernel about one notebook.

    Args:
        kernel: A kernel that is bound.
        notebook: Outputs are put into its cells.
        canceled: Descriptor that becomes readable when the run is to be canceled.
        deadline: When the run times out, on the monotonic clock.
        observe: Takes every text as it is written.
        autosave: Called after every message that changed the notebook.
    """

    def __init__(
        self,
        kernel: Kernel,
        notebook: NotebookNode,
        *,
        canceled: int,
        deadline: float,
        observe: Callable[[StreamWritten], None],
        autosave: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._canceled = canceled
        self._deadline = deadline
        self._observe = observe
        self._autosave = autosave
        self._room = MAX_OUTPUT_BYTES
        self._session = Session(key=kernel.key)
        self._context = zmq.Context()
        self._shell = self._socket(zmq.DEALER, "shell")
        self._iopub = self._socket(zmq.SUB, "iopub")
        self._control = self._socket(zmq.DEALER, "control")
        self._client = NotebookClient(notebook)
        self._client.kc = _WidgetClient(self._session, self._shell)  # type: ignore[assignment] # all that is used of it
        self._poller = zmq.Poller()
        for source in (self._shell, self._iopub, kernel.fileno(), canceled):
            self._poller.register(source, zmq.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def _socket(self, kind: int, channel: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.linger = 0
        socket.rcvhwm = socket.sndhwm = 0
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(self._kernel.endpoint(channel))
        return socket

    def begin(self) -> None:
        """Wait until outputs arrive here, and learn what language the kernel speaks."""
        self._iopub.poll(SUBSCRIBE_MILLISECONDS)  # a kernel welcomes its subscribers; an older one says nothing
        request = self._send(self._shell, "kernel_info_request", {})
        nowhere = NotebookNode(metadata=NotebookNode(execution={}), outputs=[])
        reply = self._exchange(request, nowhere, -1)
        self._client.nb.metadata["language_info"] = reply["language_info"]

    def run(self, cell: NotebookNode, index: int) -> dict[str, Any]:
        """Execute one cell, putting what it writes into it.

        Returns:
            The kernel's reply: ``status`` is ``ok``, or ``error`` with ``ename``, ``evalue`` and ``traceback``.

        Raises:
            KernelDiedError: When the kernel ended.
            StoppedError: When the run was canceled or its time is over; the cell was interrupted.
        """
        cell.outputs = []
        cell.metadata["execution"] = NotebookNode()
        self._client.clear_before_next_output = False
        content = {
            "code": cell.source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": "raises-exception" not in cell.metadata.get("tags", []),
        }
        request = self._send(self._shell, "execute_request", content)
        try:
            return self._exchange(request, cell, index)
        finally:
            self._join_streams(cell, index)

    def shut_down(self) -> None:
        """Ask the kernel to end, so that its exit handlers run; the widgets' state is kept in the notebook."""
        self._client.set_widgets_metadata()
        self._send(self._control, "shutdown_request", {"restart": False})
        # What was sent must leave before the sockets close; the kernel has already answered on others.
        self._control.linger = 1000

    def _send(self, socket: zmq.Socket[bytes], kind: str, content: dict[str, Any]) -> str:
        message = self._session.msg(kind, content=content)
        self._session.send(socket, message)
        return str(message["msg_id"])

    def _exchange(self, request: str, cell: NotebookNode, index: int) -> dict[str, Any]:
        reply: dict[str, Any] | None = None
        idle_until = float("inf")
        stop: StoppedError | None = None
        is_idle = False
        while not (reply and is_idle) and time.monotonic() < idle_until:
            ready = self._wait(idle_until)
            if self._iopub in ready:
                is_idle = self._take_outputs(request, cell, index) or is_idle
            if self._shell in ready and (answer := self._take_reply(request)):
                reply, idle_until = answer, min(idle_until, time.monotonic() + IDLE_SECONDS)
            if self._kernel.fileno() in ready:
                self._listen(request, cell, index)
            if stop is None and (stop := self._stopping(ready)):
                self._poller.unregister(self._canceled)
                self._kernel.interrupt()
                idle_until = time.monotonic() + GRACE_SECONDS
        if stop:
            raise stop
        return reply or {"status": "error", "ename": "NoReply", "evalue": "", "traceback": []}

    def _wait(self, idle_until: float) -> set[Any]:
        until = min(idle_until, self._deadline) if self._deadline > time.monotonic() else idle_until
        milliseconds = None if until == float("inf") else int(max(0.0, until - time.monotonic()) * 1000) + 1
        return {source for source, _ in self._poller.poll(milliseconds)}

    def _stopping(self, ready: set[Any]) -> StoppedError | None:
        if self._canceled in ready:
            return StoppedError(is_timeout=False)
        return StoppedError(is_timeout=True) if time.monotonic() >= self._deadline else None

    def _listen(self, request: str, cell: NotebookNode, index: int) -> None:
        self._kernel.listen()
        if self._kernel.end is not None:
            while self._iopub.poll(50):  # what it wrote last is still on its way
                self._take_outputs(request, cell, index)
            raise KernelDiedError(self._kernel.end)

    def _take_reply(self, request: str) -> dict[str, Any] | None:
        message = self._received(self._shell.recv_multipart())
        return message["content"] if message["parent_header"].get("msg_id") == request else None

    def _take_outputs(self, request: str, cell: NotebookNode, index: int) -> bool:
        """Take in all outputs that are there; say whether the kernel is done with the request."""
        while self._iopub.poll(0):
            frames = self._iopub.recv_multipart()
            if self._is_too_much(frames, cell):
                continue
            message = self._received(frames)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "stream":
                self._show(cell, **message["content"])
            try:
                self._client.process_message(message, cell, index)
            except CellExecutionComplete:
                return True
            self._autosave()
        return False

    def _received(self, frames: list[bytes]) -> dict[str, Any]:
        _, parts = self._session.feed_identities(frames)
        message: dict[str, Any] = self._session.deserialize(parts)
        return message

    def _is_too_much(self, frames: list[bytes], cell: NotebookNode) -> bool:
        """Count output, and say whether a message is to be dropped unread because there is too much already."""
        if self._room < 0:
            return bool(json.loads(frames[frames.index(DELIMITER) + 2])["msg_type"] in OUTPUTS)
        self._room -= sum(map(len, frames))
        if self._room < 0:
            cell.outputs.append(new_output("stream", name="stderr", text=CUT))
            self._show(cell, "stderr", CUT)
        return False

    def _show(self, cell: NotebookNode, name: str, text: str) -> None:
        now = datetime.now(UTC)
        self._observe(StreamWritten(sequence=0, at=now, cell_id=cell.get("id", ""), stream=name, text=text))

    def _join_streams(self, cell: NotebookNode, index: int) -> None:
        joined: list[NotebookNode] = []
        texts: list[list[str]] = []
        places: list[int] = []
        for output in cell.outputs:
            is_stream = output.output_type == "stream"
            if is_stream and joined and joined[-1].output_type == "stream" and joined[-1].name == output.name:
                texts[-1].append(output.text)
            else:
                joined.append(output)
                texts.append([output.text] if is_stream else [])
            places.append(len(joined) - 1)
        for output, pieces in zip(joined, texts, strict=True):
            if pieces:
                output.text = "".join(pieces)
        cell.outputs = joined
        for cells in self._client._display_id_map.values():  # noqa: SLF001 - later updates find outputs by place
            if index in cells:
                cells[index] = [places[place] for place in cells[index] if place < len(places)]


class _WidgetClient:
    """What nbclient's output widgets need of a kernel client."""

    def __init__(self, session: Session, shell: zmq.Socket[bytes]) -> None:
        self.session = session
        self.shell_channel = self
        self._shell = shell

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the kernel."""
        self.session.send(self._shell, message)
