# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Metrics are read in the order in which they were logged."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, func, select

from animus_contracts.artifacts import Metric
from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.pages import Page
from animus_control.storage.cursors import decode_number, page_of
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.run_tables import metrics as table
from animus_control.storage.session import Session

_ADD = adding(table)
_PAGE = Prepared(
    select(table.c.document)
    .where(
        table.c.project_id == bindparam("project"),
        table.c.run_id == bindparam("run"),
        table.c.sequence > bindparam("after"),
    )
    .order_by(table.c.sequence)
    .limit(bindparam("count"))
)
_OF_RUN = (table.c.project_id == bindparam("project"), table.c.run_id == bindparam("run"))
_LAST = select(func.max(table.c.sequence)).where(*_OF_RUN).group_by(table.c.name).scalar_subquery()
_LATEST = Prepared(select(table.c.document).where(*_OF_RUN, table.c.sequence.in_(_LAST)).order_by(table.c.name))


class MetricTable:
    """Metrics of runs."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, project_id: ProjectId, metrics: Sequence[Metric]) -> None:
        """Store metrics of runs of the project."""
        rows = [
            {
                "project_id": project_id,
                "run_id": metric.run_id,
                "sequence": metric.sequence,
                "name": metric.name,
                "document": metric,
            }
            for metric in metrics
        ]
        self._session.add_many(_ADD, rows)

    def page(self, project_id: ProjectId, run_id: RunId, *, limit: int, cursor: str | None) -> Page[Metric]:
        """Return a page, oldest first.

        Raises:
            ValueError: On a bad cursor.
        """
        after = -1 if cursor is None else decode_number(cursor)
        values = {"project": project_id, "run": run_id, "after": after, "count": limit + 1}
        found: list[Metric] = [row.document for row in self._session.all(_PAGE, values)]
        return page_of(found, [metric.sequence for metric in found], limit)

    def latest(self, project_id: ProjectId, run_id: RunId) -> dict[str, float]:
        """Return the value of each metric that was logged last, by name."""
        rows = self._session.all(_LATEST, {"project": project_id, "run": run_id})
        return {row.document.name: row.document.value for row in rows}
