# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The data plane's protocol in memory, over real HTTP: one queue, epochs, tokens, objects by digest.

It keeps what it was told in public members, can be made to refuse or to be away, and checks what the real control
plane checks: tokens, epochs, gaps in sequences, digests.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec

from animus_contracts.decoding import decode_json
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.endpoint import Endpoint
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.executions import (
    Cancellations,
    CancellationsRequest,
    EndExecution,
    ExecutionEnded,
    Heartbeat,
    HeartbeatReply,
    Lease,
    LeaseReply,
    LeaseRequest,
    RenewCredentials,
    RunCredentials,
    StartExecution,
)
from animus_contracts.plans import Plan
from animus_contracts.problems import CODES, Problem
from animus_contracts.run_events import EventsAccepted, ExecutionEvent, ReportEvents
from animus_contracts.runs import RunState
from tests.fakes.plans import a_lease

EXECUTOR_TOKEN = "ae_fake-executor-token-0123456789"


class RefusalError(Exception):
    """An answer that is a problem."""


@dataclass
class Attempt:
    """One attempt, as the simulator remembers it."""

    lease: Lease
    run_token: str = ""
    started: StartExecution | None = None
    ended: EndExecution | None = None
    events: list[ExecutionEvent] = field(default_factory=list)
    heartbeats: int = 0
    cancel: bool = False
    stale: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class ControlPlaneSimulator:
    """A control plane for executors and runners; use it as a context manager.

    Attributes:
        attempts: By execution id.
        objects: Uploaded and downloadable bytes, by digest.
        away: While set, every call is answered with 503.
        calls: Names of the operations called, in order.
    """

    def __init__(self, *, lease_seconds: float = 30.0, heartbeat_seconds: float = 5.0) -> None:
        self.lease_seconds = lease_seconds
        self.heartbeat_seconds = heartbeat_seconds
        self.attempts: dict[str, Attempt] = {}
        self.objects: dict[str, bytes] = {}
        self.lease_requests: list[LeaseRequest] = []
        self.calls: list[str] = []
        self.away = threading.Event()
        self._changed = threading.Condition()
        self._is_open = True
        self._queue: deque[Plan] = deque()
        self._server = _Server(self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close_queue()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Base URL, without the API prefix."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def submit(self, plan: Plan) -> None:
        """Queue a run."""
        with self._changed:
            self._queue.append(plan)
            self._changed.notify_all()

    def close_queue(self) -> None:
        """Grant nothing more; whoever waits for a lease gets none at once."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def ended(self, run_id: str, patience: float = 60.0) -> Attempt:
        """Wait for the end of a run's newest attempt."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for attempt in reversed(list(self.attempts.values())):
                if attempt.lease.run_id == run_id and attempt.done.wait(0.01):
                    return attempt
            time.sleep(0.01)
        raise AssertionError(f"run {run_id} did not end in {patience} s")

    def leased(self, run_id: str, patience: float = 20.0, ready: Callable[[Attempt], Any] = bool) -> Attempt:
        """Wait until a run has an attempt of which something is true."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for attempt in list(self.attempts.values()):
                if attempt.lease.run_id == run_id and ready(attempt):
                    return attempt
            time.sleep(0.01)
        raise AssertionError(f"run {run_id} was not as expected in {patience} s")

    def grant(self, plan: Plan) -> Attempt:
        """Make the attempt a lease is about."""
        lease = a_lease(plan, lease_seconds=self.lease_seconds, heartbeat_seconds=self.heartbeat_seconds)
        self.attempts[lease.execution_id] = attempt = Attempt(lease=lease)
        return attempt

    def answer(self, endpoint: Endpoint, names: dict[str, str], token: str, body: bytes) -> bytes:
        """Carry out one call."""
        self.calls.append(endpoint.operation)
        if self.away.is_set():
            raise RefusalError("service_unavailable")
        if endpoint.operation == "executions.lease":
            self._require(token == EXECUTOR_TOKEN, "unauthenticated")
            return msgspec.json.encode(self._lease(decode_json(body, LeaseRequest)))
        if endpoint.operation == "executions.cancellations":
            self._require(token == EXECUTOR_TOKEN, "unauthenticated")
            return msgspec.json.encode(self._cancellations(decode_json(body, CancellationsRequest)))
        attempt = self.attempts.get(names["execution"])
        self._require(attempt is not None, "not_found")
        assert attempt is not None
        expected = EXECUTOR_TOKEN if endpoint.caller == "executor" else attempt.run_token
        self._require(token == expected, "unauthenticated")
        if endpoint.operation in {"executions.input", "executions.put_object"}:
            return self._transfer(endpoint.operation, names["digest"], body)
        message = decode_json(body, endpoint.request)
        self._require(not attempt.stale and message.epoch == attempt.lease.epoch, "stale_epoch")
        return msgspec.json.encode(getattr(self, f"_{endpoint.operation.split('.')[1]}")(attempt, message))

    def _transfer(self, operation: str, digest: str, body: bytes) -> bytes:
        if operation == "executions.input":
            self._require(digest in self.objects, "not_found")
            return self.objects[digest]
        self._require(digest_bytes(body) == digest, "artifact_hash_mismatch")
        self.objects[digest] = body
        return msgspec.json.encode({"digest": digest, "size_bytes": len(body)})

    def _lease(self, request: LeaseRequest) -> LeaseReply:
        self.lease_requests.append(request)
        with self._changed:
            self._changed.wait_for(lambda: self._queue or not self._is_open, request.wait_seconds)
            return LeaseReply(lease=self.grant(self._queue.popleft()).lease if self._queue else None)

    def _cancellations(self, request: CancellationsRequest) -> Cancellations:
        deadline = time.monotonic() + request.wait_seconds
        while True:
            attempts = [attempt for attempt in list(self.attempts.values()) if attempt.cancel and not attempt.ended]
            wanted = [attempt.lease.execution_id for attempt in attempts]
            found = [execution_id for execution_id in wanted if execution_id not in request.known]
            if found or not self._is_open or time.monotonic() > deadline:
                return Cancellations(cancel=found)
            time.sleep(0.02)

    def _start(self, attempt: Attempt, message: StartExecution) -> RunCredentials:
        self._require(message.dispatch_token == attempt.lease.dispatch_token, "unauthenticated")
        attempt.started = message
        attempt.run_token = f"ar_{secrets.token_urlsafe(24)}"
        return RunCredentials(run_token=attempt.run_token, expires_in_seconds=300.0)

    def _renew(self, attempt: Attempt, _: RenewCredentials) -> RunCredentials:
        self._require(attempt.started is not None, "invalid_transition")
        attempt.run_token = f"ar_{secrets.token_urlsafe(24)}"
        return RunCredentials(run_token=attempt.run_token, expires_in_seconds=300.0)

    def _heartbeat(self, attempt: Attempt, _: Heartbeat) -> HeartbeatReply:
        attempt.heartbeats += 1
        return HeartbeatReply(lease_seconds=self.lease_seconds, token_expires_in_seconds=300.0, cancel=attempt.cancel)

    def _report(self, attempt: Attempt, message: ReportEvents) -> EventsAccepted:
        for event in message.events:
            if event.sequence == len(attempt.events) + 1:
                attempt.events.append(event)
            self._require(event.sequence <= len(attempt.events), "invalid_request")
        return EventsAccepted(last_sequence=len(attempt.events))

    def _end(self, attempt: Attempt, message: EndExecution) -> ExecutionEnded:
        for artifact in message.artifacts:
            self._require(artifact.digest in self.objects, "object_not_found")
        duplicate = attempt.ended == message
        self._require(attempt.ended is None or duplicate, "run_terminal")
        attempt.ended = message
        attempt.run_token = ""
        attempt.done.set()
        return ExecutionEnded(state=RunState(message.verdict), duplicate=duplicate)

    def _require(self, fact: bool, code: str) -> None:
        if not fact:
            raise RefusalError(code)

    def content(self, digest: Digest) -> bytes:
        """Bytes of an uploaded object."""
        assert hashlib.sha256(self.objects[digest]).hexdigest() == digest.removeprefix("sha256:")
        return self.objects[digest]


ROUTES = [
    (endpoint.method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/:]+|sha256:[0-9a-f]+)", endpoint.url)), endpoint)
    for endpoint in BY_OPERATION.values()
    if endpoint.operation.startswith("executions.")
]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, simulator: ControlPlaneSimulator) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.simulator = simulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Killed runners break connections; that is what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, content = 404, b"{}"
        for method, pattern, endpoint in ROUTES:
            if method == self.command and (match := pattern.fullmatch(self.path)):
                status = endpoint.status
                try:
                    content = self.server.simulator.answer(endpoint, match.groupdict(), token, body)
                except RefusalError as refusal:
                    code = CODES[str(refusal)]
                    problem = Problem(type="", title=code.title, status=code.status, code=str(refusal))
                    status, content = code.status, msgspec.json.encode(problem)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815 - http.server calls them so

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
