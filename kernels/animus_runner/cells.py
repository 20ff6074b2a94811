# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Run one cell after the other in a kernel.

One thread waits for everything at once: outputs, replies, the end of the kernel, a cancellation and the deadline.
Nobody answers a prompt: the kernel is told so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import zmq
from jupyter_client.session import Session
from nbclient import NotebookClient
from nbformat import NotebookNode

from animus_contracts.run_events import StreamWritten
from animus_runner.kernels import Kernel, KernelDiedError
from animus_runner.outputs import MALFORMED, Outputs, decode

GRACE_SECONDS = 1.5
"""How long an interrupted cell has to end by itself."""

IDLE_SECONDS = 10.0
"""How long to wait for the last output of a cell that has ended."""

SHUTDOWN_SECONDS = 5.0
SUBSCRIBE_MILLISECONDS = 300
LAST_MILLISECONDS = 5
"""How long the next message of a kernel that is gone may be on its way."""


class StoppedError(Exception):
    """The run was ended from outside while a cell ran.

    Attributes:
        is_timeout: Whether its time was over; else somebody canceled it.
        is_of_cell: Whether it was the time of one cell that was over.
    """

    def __init__(self, *, is_timeout: bool, is_of_cell: bool = False) -> None:
        super().__init__("timeout" if is_timeout else "canceled")
        self.is_timeout = is_timeout
        self.is_of_cell = is_of_cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """When the time is over.

    Attributes:
        run: When the run's is, on the monotonic clock.
        cell_seconds: How long one cell may take; None sets no bound but the run's.
    """

    run: float
    cell_seconds: float | None = None

    def of_cell(self, now: float) -> float:
        """Return when the time is over for a cell that begins now."""
        return self.run if self.cell_seconds is None else min(self.run, now + self.cell_seconds)


class Cells:
    """The dialogue with one kernel about one notebook.

    Args:
        kernel: A kernel that is bound.
        notebook: Outputs are put into its cells.
        canceled: Descriptor that becomes readable when the run is to be canceled.
        deadlines: When the time is over.
        observe: Takes every text as it is written.
        autosave: Called after every message that changed the notebook.
    """

    def __init__(
        self,
        kernel: Kernel,
        notebook: NotebookNode,
        *,
        canceled: int,
        deadlines: Deadlines,
        observe: Callable[[StreamWritten], None],
        autosave: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._canceled = canceled
        self._deadlines = deadlines
        self._deadline = deadlines.run
        self._session = Session(key=kernel.key)
        self._context = zmq.Context()
        self._shell = self._socket(zmq.DEALER, "shell")
        self._iopub = self._socket(zmq.SUB, "iopub")
        self._control = self._socket(zmq.DEALER, "control")
        self._client = NotebookClient(notebook)
        self._client.kc = _WidgetClient(self._session, self._shell)  # type: ignore[assignment] # all that is used of it
        self._outputs = Outputs(self._session, self._client, observe, autosave)
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
        self._outputs.expect(request, nowhere, -1)
        reply = self._exchange(request)
        if "language_info" in reply:
            self._client.nb.metadata["language_info"] = reply["language_info"]

    def run(self, cell: NotebookNode, index: int) -> dict[str, Any]:
        """Execute one cell, putting what it writes into it.

        Returns:
            The kernel's reply: ``status`` is ``ok``, or anything else, with ``ename``, ``evalue`` and ``traceback``
            if it was an error.

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
        self._outputs.expect(request, cell, index)
        self._deadline = self._deadlines.of_cell(time.monotonic())
        try:
            return self._exchange(request)
        finally:
            self._deadline = self._deadlines.run
            self._outputs.end(request)

    def shut_down(self) -> None:
        """Have the kernel end by itself, so that its exit handlers run, and take in what it leaves."""
        self._send(self._control, "shutdown_request", {"restart": False})
        self._kernel.wait_for_end(SHUTDOWN_SECONDS)
        self._take_outputs("", LAST_MILLISECONDS)
        self._client.set_widgets_metadata()

    def _send(self, socket: zmq.Socket[bytes], kind: str, content: dict[str, Any]) -> str:
        message = self._session.msg(kind, content=content)
        self._session.send(socket, message)
        return str(message["msg_id"])

    def _exchange(self, request: str) -> dict[str, Any]:
        reply: dict[str, Any] | None = None
        idle_until = float("inf")
        stop: StoppedError | None = None
        is_idle = False
        while not (reply and is_idle) and time.monotonic() < idle_until:
            ready = self._wait(idle_until)
            if self._iopub in ready:
                is_idle = self._take_outputs(request) or is_idle
            if self._shell in ready and (answer := self._take_reply(request)):
                reply, idle_until = answer, min(idle_until, time.monotonic() + IDLE_SECONDS)
            if self._kernel.fileno() in ready:
                self._listen()
            if stop is None and (stop := self._stopping(ready)):
                self._poller.unregister(self._canceled)
                self._kernel.interrupt()
                idle_until = time.monotonic() + GRACE_SECONDS
        if stop:
            raise stop
        return reply or {}

    def _wait(self, idle_until: float) -> set[Any]:
        until = min(idle_until, self._deadline) if self._deadline > time.monotonic() else idle_until
        milliseconds = None if until == float("inf") else int(max(0.0, until - time.monotonic()) * 1000) + 1
        return {source for source, _ in self._poller.poll(milliseconds)}

    def _stopping(self, ready: set[Any]) -> StoppedError | None:
        if self._canceled in ready:
            return StoppedError(is_timeout=False)
        if time.monotonic() < self._deadline:
            return None
        return StoppedError(is_timeout=True, is_of_cell=self._deadline < self._deadlines.run)

    def _listen(self) -> None:
        self._kernel.listen()
        if self._kernel.end is not None:
            self._take_outputs("", LAST_MILLISECONDS)
            raise KernelDiedError(self._kernel.end)

    def _take_reply(self, request: str) -> dict[str, Any] | None:
        try:
            message = decode(self._session, self._shell.recv_multipart())
        except MALFORMED:
            return None
        return message["content"] if message["parent_header"].get("msg_id") == request else None

    def _take_outputs(self, request: str, milliseconds: int = 0) -> bool:
        """Take in all outputs that are there; say whether the kernel is done with the request."""
        while self._iopub.poll(milliseconds):
            if self._outputs.take(self._iopub.recv_multipart()) == request:
                return True
        return False


class _WidgetClient:
    """What nbclient's output widgets need of a kernel client."""

    def __init__(self, session: Session, shell: zmq.Socket[bytes]) -> None:
        self.session = session
        self.shell_channel = self
        self._shell = shell

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the kernel."""
        self.session.send(self._shell, message)
