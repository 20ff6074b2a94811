# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log is written by the writer alone: records are buffered, and chained when their piece of work is done.

The bytes that are hashed are the bytes that are stored. The head is read with a lock when a transaction begins and set
by compare-and-set before it ends, so two writers can never continue the same event, and work that is rolled back
leaves no gap.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from animus_contracts.audit import AuditEvent, AuditRecord, chain_hash
from animus_contracts.digests import canonical
from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import Page
from animus_control.storage.cursors import decode_number, page_of
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.session import Session
from animus_control.storage.tables import audit_events, audit_head
from animus_control.storage.transaction import Transaction

_READ_HEAD = select(audit_head.c.sequence, audit_head.c.hash)
_LOCK_HEAD = Prepared(_READ_HEAD.with_for_update())
_APPEND = adding(audit_events)
_MOVE_HEAD = Prepared(
    update(audit_head)
    .where(audit_head.c.sequence == bindparam("old_sequence"), audit_head.c.hash == bindparam("old_hash"))
    .values(sequence=bindparam("new_sequence"), hash=bindparam("new_hash"))
)
_HEAD = Prepared(_READ_HEAD)
_TOUCH_HEAD = Prepared(update(audit_head).values(checked_at=bindparam("now")))
_EVENTS = select(
    audit_events.c.sequence, audit_events.c.record, audit_events.c.previous_hash, audit_events.c.hash
).order_by(audit_events.c.sequence)


class AuditForkedError(RuntimeError):
    """The head moved although this writer held its lock."""


class Chain:
    """The end of the log while one transaction writes; what is not kept by :meth:`extend` has never been.

    Args:
        transaction: The transaction; it holds the head's lock until it ends.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        lock = _LOCK_HEAD.on(transaction.dialect)
        transaction.cursor.execute(lock.sql)
        (row,) = lock.rows(transaction.cursor.fetchall())
        self._stored = self._end = (row.sequence, row.hash)

    def extend(self, session: Session, records: list[tuple[AuditRecord, bytes]]) -> None:
        """Give records their place and store them within the work they belong to."""
        sequence, head = self._end
        rows = []
        for record, content in records:
            sequence, previous, head = sequence + 1, head, chain_hash(head, content)
            rows.append(_row(record, content) | {"sequence": sequence, "previous_hash": previous, "hash": head})
        session.add_many(_APPEND, rows)
        self._end = (sequence, head)

    def close(self) -> None:
        """Move the head to the last event.

        Raises:
            AuditForkedError: If another writer moved it.
        """
        if self._end == self._stored:
            return
        (old_sequence, old_hash), (new_sequence, new_hash) = self._stored, self._end
        values = {
            "old_sequence": old_sequence,
            "old_hash": old_hash,
            "new_sequence": new_sequence,
            "new_hash": new_hash,
        }
        move, cursor = _MOVE_HEAD.on(self._transaction.dialect), self._transaction.cursor
        self._transaction.known.change(move.table)
        cursor.execute(move.sql, move.bind(values))
        if cursor.rowcount != 1:
            raise AuditForkedError(f"the audit log no longer ends at {old_sequence}")


class BufferedAuditLog:
    """The audit log as one piece of work sees it; what it appends is stored when the work is done."""

    __slots__ = ("_session", "records")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.records: list[tuple[AuditRecord, bytes]] = []

    def append(self, record: AuditRecord) -> None:
        """Buffer a record; one that has no canonical form fails here, in the work that made it."""
        self.records.append((record, canonical(record)))
        self._session.audited = True

    def page(
        self,
        project_id: ProjectId | None,
        *,
        limit: int,
        cursor: str | None,
        actor: str | None = None,
        action: str | None = None,
        resource: str | None = None,
    ) -> Page[AuditEvent]:
        """Return events, oldest first; of all projects when ``project_id`` is None."""
        statement = _EVENTS.limit(limit + 1)
        wanted = {"project_id": project_id, "actor": actor, "action": action, "resource": resource}
        for field, value in wanted.items():
            if value is not None:
                statement = statement.where(audit_events.c[field] == value)
        if cursor is not None:
            statement = statement.where(audit_events.c.sequence > decode_number(cursor))
        events = [_event(row) for row in self._session.search(statement)]
        return page_of(events, [event.sequence for event in events], limit)

    def touch(self, now: datetime) -> None:
        """Write to the head without moving it, to see that the database takes a write."""
        self._session.change(_TOUCH_HEAD, {"now": now}, fact="audit_head.checked_at")

    def head(self) -> tuple[int, str]:
        """Return sequence and hash of the newest event."""
        row = self._session.first(_HEAD, {})
        if row is None:
            raise AuditForkedError("the head of the audit log is gone")
        return row.sequence, row.hash


def _row(record: AuditRecord, content: bytes) -> dict[str, Any]:
    return {
        "project_id": record.project_id,
        "actor": record.actor,
        "action": record.action,
        "resource": record.resource,
        "outcome": record.outcome,
        "record": content,
    }


def _event(row: Any) -> AuditEvent:
    return AuditEvent(
        sequence=row.sequence, record=msgspec.Raw(row.record), previous_hash=row.previous_hash, hash=row.hash
    )
