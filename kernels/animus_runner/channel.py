# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What user code may say from inside a run: metrics, artifacts and seeds, as JSON lines over a unix socket.

The other end is not trusted: every line is limited in length and checked against a closed set of requests, every
answer is one line, and nothing said here can give a verdict or end the run.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from pathlib import Path
from typing import Annotated, Protocol, Self

import msgspec

from animus_contracts.decoding import json_decoder

MAX_LINE = 64 * 1024
MAX_CONNECTIONS = 64
MAX_SAFE = 2**53 - 1
"""The largest whole number that every reader of JSON takes for the same."""

# "." and ".." are no names of files, and the control plane would refuse the end of a run that had such an artifact.
Name = Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}\Z")]


class MetricRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="metric"):
    """Log one measured value."""

    name: Name
    step: Annotated[int, msgspec.Meta(ge=0, le=MAX_SAFE)]
    value: float


class ArtifactRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="artifact"):
    """Keep a copy of a file in one of the run's writable folders."""

    name: Name
    path: str


class SeedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="seed"):
    """Note that the random generators were seeded."""

    number: Annotated[int, msgspec.Meta(ge=-MAX_SAFE, le=MAX_SAFE)]


class RefusedRequestError(Exception):
    """A request is not acceptable.

    Attributes:
        code: Stable name of the rule that failed.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Recorder(Protocol):
    """Takes what user code logs; called from several threads."""

    def log_metric(self, name: str, step: int, value: float) -> None:
        """Record a metric."""

    def log_artifact(self, name: str, path: str) -> None:
        """Keep a copy of a file, or raise :class:`RefusedRequestError`."""

    def log_seed(self, number: int) -> None:
        """Note a seed."""


_DECODER = json_decoder(MetricRequest | ArtifactRequest | SeedRequest)


def answer(line: bytes, recorder: Recorder) -> bytes:
    """Carry out one request and return the reply line."""
    try:
        request = _DECODER.decode(line)
        match request:
            case ArtifactRequest():
                recorder.log_artifact(request.name, request.path)
            case MetricRequest():
                recorder.log_metric(request.name, request.step, request.value)
            case SeedRequest():
                recorder.log_seed(request.number)
    except msgspec.MsgspecError as error:
        return _refusal("invalid_request", str(error))
    except RefusedRequestError as error:
        return _refusal(error.code, str(error))
    return b'{"ok":true}\n'


class Channel:
    """The listening socket; requests are answered from :meth:`__enter__` to :meth:`__exit__`.

    Args:
        address: Path of the socket.
        recorder: Who takes the requests.
    """

    def __init__(self, address: Path, recorder: Recorder) -> None:
        self._server = _Server(address, recorder)
        self._thread = threading.Thread(target=self._accept, name="channel", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread at once, unlike shutdown of the server
        self._thread.join()
        self._server.server_close()

    def _accept(self) -> None:
        while True:
            try:
                request, address = self._server.get_request()
            except OSError:
                return
            self._server.process_request(request, address)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False  # a kernel that keeps its connection must not hold up the end of the run
    request_queue_size = 16

    def __init__(self, address: Path, recorder: Recorder) -> None:
        super().__init__(str(address), _Connection)
        self.recorder = recorder
        self.connections = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: what breaks a connection is the run's own doing."""


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    connection: socket.socket

    def handle(self) -> None:
        if not self.server.connections.acquire(blocking=False):
            self.wfile.write(_refusal("too_many_connections", f"at most {MAX_CONNECTIONS} connections are kept"))
            return
        try:
            while line := self.rfile.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    self.wfile.write(_refusal("too_long", f"a request has at most {MAX_LINE} bytes"))
                    return
                self.wfile.write(answer(line, self.server.recorder))
        finally:
            self.server.connections.release()


def _refusal(code: str, message: str) -> bytes:
    return msgspec.json.encode({"error": {"code": code, "message": message}}) + b"\n"
