# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The executor's side of the data plane protocol; it calls nobody else.

::

    ProtocolError
    ├── UnreachableError   no answer of the control plane's now: repeat
    ├── StaleError         the lease is lost: stop, report nothing
    └── RefusedError       the control plane does not accept the call
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
import msgspec

from animus_contracts.decoding import decode_json
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
from animus_contracts.problems import Problem
from animus_contracts.tasks import EndTask, LeaseTask, TaskEnded, TaskLease, TaskLeaseReply
from animus_executor.failpoints import AFTER, BEFORE, InjectedError, failpoint

T = TypeVar("T")

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
CHUNK = 1 << 20
GONE = frozenset({404, 409, 410})
BUSY = frozenset({408, 429})


class ProtocolError(Exception):
    """A call to the control plane did not succeed."""


class UnreachableError(ProtocolError):
    """The control plane cannot be reached, or cannot answer now."""


class StaleError(ProtocolError):
    """The control plane says that the lease is not ours any more."""


class RefusedError(ProtocolError):
    """The control plane does not accept the call."""


class ControlPlane:
    """The control plane, for one executor; may be used by several threads.

    Args:
        base_url: Where it is, without the API prefix.
        token: The executor's token.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self._base = base_url.rstrip("/")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,  # the address is configured; a proxy variable must not redirect a token
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def lease(self, request: LeaseRequest) -> Lease | None:
        """Take the next run, waiting as long as the request says."""
        answer = self._call("executions.lease", request, LeaseReply, patience=request.wait_seconds + ANSWER_SECONDS)
        return answer.lease

    def cancellations(self, request: CancellationsRequest) -> Cancellations:
        """Wait until an attempt is to be stopped, as long as the request says."""
        patience = request.wait_seconds + ANSWER_SECONDS
        return self._call("executions.cancellations", request, Cancellations, patience=patience)

    def start(self, execution_id: str, message: StartExecution) -> RunCredentials:
        """Start an attempt."""
        return self._call("executions.start", message, RunCredentials, execution=execution_id)

    def renew(self, execution_id: str, message: RenewCredentials) -> RunCredentials:
        """Replace the run token of a started attempt."""
        return self._call("executions.renew", message, RunCredentials, execution=execution_id)

    def heartbeat(self, execution_id: str, message: Heartbeat, *, patience: float) -> HeartbeatReply:
        """Renew a lease, waiting at most ``patience`` seconds for the answer."""
        return self._call("executions.heartbeat", message, HeartbeatReply, patience=patience, execution=execution_id)

    def end(self, execution_id: str, message: EndExecution) -> ExecutionEnded:
        """End an attempt."""
        return self._call("executions.end", message, ExecutionEnded, execution=execution_id)

    def lease_task(self, request: LeaseTask) -> TaskLease | None:
        """Take the next task, waiting as long as the request says."""
        return self._call("tasks.lease", request, TaskLeaseReply, patience=request.wait_seconds + ANSWER_SECONDS).lease

    @contextmanager
    def task_object(self, task_id: str, digest: str) -> Iterator[Iterator[bytes]]:
        """Fetch bytes that a task looks at, as chunks.

        Raises:
            StaleError: If they are gone, or the task is not ours any more.
            UnreachableError: If there is no answer now.
        """
        endpoint = BY_OPERATION["tasks.object"]
        url = self._base + endpoint.url.format(task=task_id, digest=digest)
        try:
            with self._client.stream(endpoint.method, url) as response:
                if response.is_error:
                    response.read()
                    raise _error(response)
                yield response.iter_bytes(CHUNK)
        except httpx.TransportError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error

    def end_task(self, task_id: str, message: EndTask) -> TaskEnded:
        """Tell what came of a task."""
        return self._call("tasks.end", message, TaskEnded, task=task_id)

    def _call(
        self, operation: str, message: Any, answer: type[T], *, patience: float = ANSWER_SECONDS, **names: str
    ) -> T:
        endpoint = BY_OPERATION[operation]
        url = self._base + endpoint.url.format(**names)
        timeout = httpx.Timeout(patience, connect=min(patience, CONNECT_SECONDS))
        try:
            failpoint(BEFORE, operation)
            response = self._client.request(endpoint.method, url, content=msgspec.json.encode(message), timeout=timeout)
            failpoint(AFTER, operation)
        except (httpx.TransportError, InjectedError) as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        if response.is_error:
            raise _error(response)
        try:
            return decode_json(response.content, answer)
        except msgspec.DecodeError as error:
            raise UnreachableError(f"the answer is not what {operation} promises: {error}") from error


def _error(response: httpx.Response) -> ProtocolError:
    try:
        problem = decode_json(response.content, Problem)
    except msgspec.DecodeError:  # something on the way says so, which knows nothing about leases
        return UnreachableError(f"{response.status_code} {response.text[:200]}")
    text = f"{response.status_code} {problem.code}: {problem.detail or problem.title}"
    if response.status_code in GONE:
        return StaleError(text)
    if response.is_server_error or response.status_code in BUSY:
        return UnreachableError(text)
    return RefusedError(text)
