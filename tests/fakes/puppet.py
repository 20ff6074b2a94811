# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A data plane that executes nothing: it leases a run and tells the story that a test wants to be told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.decoding import decode_json
from animus_contracts.digests import digest_bytes
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.executions import (
    EndExecution,
    LeaseReply,
    LeaseRequest,
    Provenance,
    RunCredentials,
    StartExecution,
    Verdict,
)
from animus_contracts.run_events import (
    CellEnded,
    CellStarted,
    MetricLogged,
    NotebookStarted,
    ReportEvents,
    StreamWritten,
)
from animus_contracts.runs import Failure
from animus_contracts.tasks import EndTask, LeaseTask, TaskLease, TaskLeaseReply, TaskResult


class Puppet:
    """Plays an executor and a runner against a real control plane.

    Args:
        url: The control plane, without the API prefix.
        token: An executor's token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=20, trust_env=False)
        self._token = token

    def close(self) -> None:
        self._http.close()

    def lease(self) -> None:
        """Take the next run and start it."""
        reply = self._post("executions.lease", LeaseRequest(wait_seconds=15), self._token)
        lease = decode_json(reply, LeaseReply).lease
        assert lease is not None, "there was no run to lease"
        self.lease_held = lease
        start = StartExecution(epoch=lease.epoch, dispatch_token=lease.dispatch_token)
        reply = self._post("executions.start", start, self._token)
        self._run_token = decode_json(reply, RunCredentials).run_token

    def tell(self, *, cells: int = 2, text: str = "hello\n", metric: float = 0.5) -> None:
        """Report a notebook whose every cell writes a line, and one metric."""
        now = datetime.now(UTC)
        events: list[Any] = [NotebookStarted(sequence=1, at=now, cells_total=cells)]
        for index in range(cells):
            cell, at = f"cell-{index}", len(events) + 1
            events += [
                CellStarted(sequence=at, at=now, cell_id=cell, cell_index=index),
                StreamWritten(sequence=at + 1, at=now, cell_id=cell, stream="stdout", text=text),
                CellEnded(sequence=at + 2, at=now, cell_id=cell, cell_index=index, seconds=0.25, status="ok"),
            ]
        events.append(MetricLogged(sequence=len(events) + 1, at=now, name="accuracy", step=0, value=metric))
        self._post("executions.report", ReportEvents(epoch=self.lease_held.epoch, events=events), self._run_token)

    def end(self, *, failure: Failure | None = None, files: dict[str, bytes] | None = None) -> None:
        """Give the verdict, with files as outputs."""
        entries = []
        for name, content in (files or {}).items():
            digest = digest_bytes(content)
            path = BY_OPERATION["executions.put_object"].url.format(
                execution=self.lease_held.execution_id, digest=digest
            )
            headers = self._headers(self._run_token) | {"Content-Type": "application/octet-stream"}
            self._http.put(path.lstrip("/"), content=content, headers=headers).raise_for_status()
            entries.append(
                ArtifactEntry(
                    name=name,
                    kind=ArtifactKind.OUTPUT,
                    media_type="application/octet-stream",
                    digest=digest,
                    size_bytes=len(content),
                )
            )
        end = EndExecution(
            event_id=uuid4().hex,
            epoch=self.lease_held.epoch,
            verdict=Verdict.FAILED if failure else Verdict.SUCCEEDED,
            artifacts=entries,
            failure=failure,
            provenance=None if failure else A_PROVENANCE,
        )
        self._post("executions.end", end, self._token)

    def play(self, **more: Any) -> None:
        """Execute the next run from lease to end."""
        self.lease()
        self.tell()
        self.end(**more)

    def do_task(self, result: TaskResult) -> TaskLease:
        """Take the next task, waiting for one, and give this result."""
        reply = self._post("tasks.lease", LeaseTask(wait_seconds=10), self._token)
        lease = decode_json(reply, TaskLeaseReply).lease
        assert lease is not None, "there was no task to do"
        self._post("tasks.end", EndTask(attempt=lease.attempt, result=result), self._token, task=lease.task_id)
        return lease

    def _post(self, operation: str, body: msgspec.Struct, token: str, **names: str) -> bytes:
        lease = getattr(self, "lease_held", None)
        path = BY_OPERATION[operation].url.format_map({"execution": lease.execution_id if lease else "", **names})
        headers = self._headers(token) | {"Content-Type": "application/json"}
        reply = self._http.post(path.lstrip("/"), content=msgspec.json.encode(body), headers=headers)
        assert reply.is_success, reply.text
        return reply.content

    @staticmethod
    def _headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}


A_PROVENANCE = Provenance(
    tree="1" * 40,
    notebook_digest=digest_bytes(b"notebook"),
    python="3.11.7",
    implementation="CPython",
    platform="Linux",
    packages={"ipykernel": "7.1.0"},
    environment={"PYTHONHASHSEED": "0"},
    limitations=[],
)
