# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An attempt changes as long as it is live, and by who holds its epoch; its end and its provenance are written once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select, update

from animus_contracts.executions import Execution, Provenance
from animus_contracts.identifiers import ExecutionId, RunId
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.repositories.records import Layout
from animus_control.storage.run_tables import CANCELING, LIVE, end_events, executions, provenances
from animus_control.storage.session import Session

CHANGING = (
    "epoch", "state", "lease_expires_at", "started_at", "ended_at", "verdict", "cancel_requested", "stop_by",
    "last_sequence",
)  # fmt: skip
LAYOUT = Layout[Execution](executions, changing=CHANGING)
_GET = Prepared(LAYOUT.select().where(executions.c.execution_id == bindparam("id")))
_OF_RUN = Prepared(LAYOUT.select().where(executions.c.run_id == bindparam("run")).order_by(executions.c.attempt))
_EXPIRED = Prepared(
    LAYOUT.select()
    .where(LIVE, executions.c.lease_expires_at < bindparam("now"))
    .order_by(executions.c.lease_expires_at)
    .limit(bindparam("count"))
)
# The very text of the index's condition: a bound value would not let the database use it.
_CANCELING = Prepared(select(executions.c.execution_id).where(CANCELING, executions.c.executor == bindparam("held_by")))
_SAVE = Prepared(
    update(executions)
    .where(
        executions.c.execution_id == bindparam("id"),
        executions.c.epoch == bindparam("expected_epoch"),
        LIVE,
    )
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)
_PROVENANCE = Prepared(select(provenances.c.document).where(provenances.c.execution_id == bindparam("id")))
_END_EVENT = Prepared(select(end_events.c.event_id).where(end_events.c.execution_id == bindparam("id")))
_ADD_PROVENANCE = adding(provenances)
_ADD_END_EVENT = adding(end_events)


class ExecutionTable:
    """Attempts at runs."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, execution: Execution) -> None:
        """Store a new attempt."""
        self._session.change(LAYOUT.insert, LAYOUT.row(execution))

    def get(self, execution_id: ExecutionId) -> Execution | None:
        """Return the attempt."""
        row = self._session.first(_GET, {"id": execution_id})
        return None if row is None else LAYOUT.read(row)

    def of_run(self, run_id: RunId) -> list[Execution]:
        """Return the attempts at a run, first to last."""
        return [LAYOUT.read(row) for row in self._session.all(_OF_RUN, {"run": run_id})]

    def save(self, execution: Execution, *, expected_epoch: int) -> bool:
        """Replace the mutable part if the stored epoch is the expected one and the attempt is still live."""
        key = {"id": execution.execution_id, "expected_epoch": expected_epoch}
        return self._session.change(_SAVE, LAYOUT.changes(execution) | key) == 1

    def canceling(self, executor: str) -> list[ExecutionId]:
        """Return the live attempts of an executor that are to be stopped."""
        return [row.execution_id for row in self._session.all(_CANCELING, {"held_by": executor})]

    def expired(self, now: datetime, *, limit: int) -> list[Execution]:
        """Return live attempts whose lease ended before ``now``, the longest overdue first."""
        return [LAYOUT.read(row) for row in self._session.all(_EXPIRED, {"now": now, "count": limit})]

    def set_provenance(self, execution_id: ExecutionId, provenance: Provenance) -> None:
        """Store what the attempt ran with, once."""
        self._session.change(_ADD_PROVENANCE, {"execution_id": execution_id, "document": provenance})

    def provenance(self, execution_id: ExecutionId) -> Provenance | None:
        """Return what the attempt ran with."""
        row = self._session.first(_PROVENANCE, {"id": execution_id})
        return None if row is None else row.document

    def end_event(self, execution_id: ExecutionId) -> str | None:
        """Return the event id with which the attempt ended."""
        row = self._session.first(_END_EVENT, {"id": execution_id})
        return None if row is None else str(row.event_id)

    def set_end_event(self, execution_id: ExecutionId, event_id: str) -> None:
        """Store the event id with which the attempt ended, once."""
        self._session.change(_ADD_END_EVENT, {"execution_id": execution_id, "event_id": event_id})
