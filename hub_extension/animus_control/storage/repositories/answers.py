# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What waits for an answer changes once, when it comes, and not at all afterwards."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from sqlalchemy import bindparam, update

from animus_contracts.comparisons import Comparison
from animus_contracts.inspections import Inspection
from animus_contracts.preflights import Preflight
from animus_control.storage.check_tables import comparisons, inspections, preflights
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.session import Session

T = TypeVar("T", bound=msgspec.Struct)

PENDING = "pending"


class AnswerLayout(Layout[T]):
    """How one kind of record that waits for an answer lies in its table."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]  # exactly Layout's own
        columns = self.table.c
        self.update = Prepared(
            update(self.table)
            .where(
                columns.project_id == bindparam("project"),
                columns[self.key] == bindparam("key"),
                columns.state == bindparam("expected_state"),
            )
            .values({name: bindparam(f"new_{name}") for name in self.changing})
        )


INSPECTIONS = AnswerLayout[Inspection](inspections, changing=("state", "findings", "failure", "ended_at"))
PREFLIGHTS = AnswerLayout[Preflight](preflights, changing=("state", "checks", "ready", "ended_at"))
COMPARISONS = AnswerLayout[Comparison](
    comparisons,
    changing=("state", "right_run_id", "inputs", "metrics", "timings", "outputs", "failure", "ended_at"),
)


class AnswerTable(RecordTable[T]):
    """Reads, adds and answers the records of one kind."""

    __slots__ = ("_answers",)

    def __init__(self, session: Session, layout: AnswerLayout[T]) -> None:
        super().__init__(session, layout)
        self._answers = layout

    def save(self, record: T) -> bool:
        """Replace what may change of a record that is still waiting."""
        layout = self._answers
        key = {"project": record.project_id, "key": getattr(record, layout.key), "expected_state": PENDING}  # type: ignore[attr-defined]  # a record has its project
        return self._session.change(layout.update, layout.changes(record) | key) == 1
