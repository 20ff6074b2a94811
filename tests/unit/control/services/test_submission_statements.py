# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What submissions cost the database: counted in statements, because time depends on the machine."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.policies import PutPolicy
from animus_contracts.runs import Run, SubmitRun
from animus_control.services import access
from tests.ports.test_units_of_work import Batch
from tests.unit.control.services.desk import ADA, ED, Desk

SUBMIT = BY_OPERATION["runs.submit"]
MANY = 5


def submit_together(desk: Desk, message: SubmitRun) -> list[Run]:
    batch = Batch(desk.database)
    for _ in range(MANY):
        batch.add(partial(access.perform, call=desk.call(ED, project="demo"), endpoint=SUBMIT, message=message))
    return batch.run()


def traced(desk: Desk, seen: Counter[str]) -> None:
    def trace(uow: Any) -> None:
        driver = uow.session._transaction.connection.connection.driver_connection
        driver.set_trace_callback(lambda sql: seen.update([" ".join(sql.split()[:3])]))

    desk.write(trace)
    seen.clear()


def test_submissions_of_a_group_read_nothing_again_and_write_nothing_but_their_rows(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    submit_together(desk, message)
    seen: Counter[str] = Counter()
    traced(desk, seen)
    runs = submit_together(desk, message)
    verbs = ("DELETE", "INSERT", "SAVEPOINT", "SELECT", "UPDATE")
    of_work = {sql: times for sql, times in seen.items() if sql.startswith(verbs) and "audit_head" not in sql}
    assert len({run.run_id for run in runs}) == MANY
    assert of_work == {
        "INSERT INTO policy_decisions": MANY,
        "INSERT INTO runs": MANY,
        "INSERT INTO plans": MANY,
        "INSERT INTO lineage_edges": 2 * MANY,
        "INSERT INTO run_events": MANY,
        "INSERT INTO outbox": MANY,
        "INSERT INTO audit_events": MANY,
    }


def test_submission_after_a_new_policy_is_judged_by_it(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    before = submit_together(desk, message)
    cedar = 'permit (principal, action, resource) when { context.run_class == "development" };'
    desk.do(ADA, "policies.put", PutPolicy(name="more", cedar=cedar), project="demo")
    after = submit_together(desk, message)
    assert {run.policy_snapshot_digest for run in before}.isdisjoint(run.policy_snapshot_digest for run in after)
    assert len({run.policy_snapshot_id for run in after}) == 1
