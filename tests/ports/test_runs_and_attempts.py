# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run and its attempts change only by who may change them, and never after their end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from animus_contracts.executions import ExecutionState, Provenance, Verdict
from animus_contracts.identifiers import RunId
from animus_contracts.runs import (
    TERMINAL_STATES,
    Failure,
    FailureReason,
    Limitation,
    Progress,
    Run,
    RunState,
)
from animus_control.services.run_repositories import StoredToken
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import (
    NOW,
    OTHER_ID,
    PROJECT_ID,
    a_plan,
    a_run,
    add_runs,
    add_surroundings,
    an_execution,
    changed,
    digest,
    identifier,
    write,
)

LINUX = "linux_x86_64"


def stored(database: StoredDatabase, run: Run) -> Run | None:
    return database.read(lambda uow: uow.runs.get(PROJECT_ID, run.run_id))


def test_run_and_plan_are_read_as_they_were_stored(database: StoredDatabase) -> None:
    run = a_run()
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, run))
    assert stored(database, run) == run
    assert database.read(lambda uow: uow.runs.plan(run.project_id, run.run_id)) == a_plan(run)
    assert database.read(lambda uow: uow.runs.get(OTHER_ID, run.run_id)) is None
    with pytest.raises(LookupError):
        database.read(lambda uow: uow.runs.plan(OTHER_ID, run.run_id))


def test_run_changes_only_at_the_expected_version(database: StoredDatabase) -> None:
    run = a_run()
    failure = Failure(reason=FailureReason.USER_CODE, summary="it broke", cell_index=3)
    new = changed(
        run,
        state=RunState.FAILED,
        version=2,
        attempt=1,
        epoch=4,
        limitations=[Limitation.SEED_NOT_SET],
        progress=Progress(cells_done=3, cells_total=9, current_cell="c"),
        queued_at=NOW,
        started_at=NOW + timedelta(microseconds=1),
        finished_at=NOW + timedelta(days=1),
        failure=failure,
    )
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, run))
    assert not write(database, lambda uow: uow.runs.compare_and_set(new, expected_version=2))
    assert write(database, lambda uow: uow.runs.compare_and_set(new, expected_version=1))
    assert stored(database, run) == new


@pytest.mark.parametrize("end", sorted(TERMINAL_STATES))
def test_ended_run_refuses_every_change(database: StoredDatabase, end: RunState) -> None:
    run = a_run(state=end)
    again = changed(run, state=RunState.RUNNING, version=2)
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, run))
    assert not write(database, lambda uow: uow.runs.compare_and_set(again, expected_version=1))
    write(database, lambda uow: uow.runs.set_progress(run.project_id, run.run_id, Progress(cells_done=1)))
    assert stored(database, run) == run


def test_progress_needs_no_audit_record_and_makes_no_version(database: StoredDatabase) -> None:
    run, progress = a_run(state=RunState.RUNNING), Progress(cells_done=1, cells_total=2, current_cell="x")
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, run))
    database.write(lambda uow: uow.runs.set_progress(run.project_id, run.run_id, progress)).result(9)
    assert stored(database, run) == changed(run, progress=progress)


def test_runs_are_listed_by_state_and_person_and_counted(database: StoredDatabase) -> None:
    queued, running = a_run(1), a_run(2, state=RunState.RUNNING, created_by="user:bob")
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, queued, running))

    def listed(**fields: str) -> list[Run]:
        return database.read(lambda uow: uow.runs.page(PROJECT_ID, limit=9, cursor=None, **fields)).items

    assert (listed(), listed(state="running"), listed(state="queued", created_by="user:bob")) == (
        [running, queued], [running], [],
    )  # fmt: skip
    assert listed(state="no such state") == []
    assert database.read(lambda uow: uow.runs.count_by_state()) == {RunState.QUEUED: 1, RunState.RUNNING: 1}


def test_attempt_is_saved_by_its_epoch_until_it_ends(database: StoredDatabase) -> None:
    run = a_run()
    execution = an_execution(run)
    running = changed(
        execution, state=ExecutionState.RUNNING, started_at=NOW, last_sequence=7, cancel_requested=True,
        lease_expires_at=NOW + timedelta(minutes=1),
    )  # fmt: skip
    ended = changed(running, state=ExecutionState.ENDED, ended_at=NOW, verdict=Verdict.CANCELED)
    write(database, add_surroundings)
    write(database, lambda uow: (add_runs(uow, run), uow.executions.add(execution)))

    def saved(new: object, epoch: int) -> bool:
        return database.write(lambda uow: uow.executions.save(new, expected_epoch=epoch)).result(9)

    assert [saved(running, 2), saved(running, 1), saved(ended, 1), saved(running, 1)] == [False, True, True, False]
    assert database.read(lambda uow: uow.executions.get(execution.execution_id)) == ended
    assert database.read(lambda uow: uow.executions.of_run(run.run_id)) == [ended]


def test_expired_leases_are_those_of_live_attempts_longest_overdue_first(database: StoredDatabase) -> None:
    runs = [a_run(number) for number in range(4)]
    seconds = [20, 10, 30, 5]
    executions = [
        an_execution(run, 200 + number, lease_expires_at=NOW + timedelta(seconds=seconds[number]))
        for number, run in enumerate(runs)
    ]
    executions[3] = changed(executions[3], state=ExecutionState.ENDED)
    write(database, add_surroundings)
    write(database, lambda uow: (add_runs(uow, *runs), [uow.executions.add(each) for each in executions]))
    at = NOW + timedelta(seconds=30)
    assert database.read(lambda uow: uow.executions.expired(at, limit=9)) == [executions[1], executions[0]]
    assert database.read(lambda uow: uow.executions.expired(at, limit=1)) == [executions[1]]


def test_provenance_and_end_event_are_kept_with_their_attempt(database: StoredDatabase) -> None:
    run = a_run()
    execution = an_execution(run)
    provenance = Provenance(
        tree="0" * 40, notebook_digest=digest("nb"), python="3.11.7", implementation="CPython", platform="Linux",
        packages={"numpy": "2.0"}, environment={"PYTHONHASHSEED": "0"}, limitations=[],
    )  # fmt: skip
    write(database, add_surroundings)
    write(database, lambda uow: (add_runs(uow, run), uow.executions.add(execution)))
    assert database.read(lambda uow: uow.executions.provenance(execution.execution_id)) is None
    assert database.read(lambda uow: uow.executions.end_event(execution.execution_id)) is None
    write(database, lambda uow: uow.executions.set_provenance(execution.execution_id, provenance))
    write(database, lambda uow: uow.executions.set_end_event(execution.execution_id, "e1"))
    assert database.read(lambda uow: uow.executions.provenance(execution.execution_id)) == provenance
    assert database.read(lambda uow: uow.executions.end_event(execution.execution_id)) == "e1"


def test_token_is_found_extended_used_up_and_revoked(database: StoredDatabase) -> None:
    run = a_run()
    execution = an_execution(run)
    tokens = [
        StoredToken(
            token_hash=str(number), kind=kind, execution_id=execution.execution_id, run_id=RunId(identifier(100)),
            project_id=PROJECT_ID, epoch=1, expires_at=NOW,
        )
        for number, kind in enumerate(("dispatch", "run", "run"))
    ]  # fmt: skip
    later = NOW + timedelta(minutes=5)
    write(database, add_surroundings)
    write(database, lambda uow: (add_runs(uow, run), uow.executions.add(execution)))
    write(database, lambda uow: [uow.tokens.add(token) for token in tokens])

    def found() -> list[str]:
        hits = database.read(lambda uow: [uow.tokens.find(token.token_hash) for token in tokens])
        return [hit.token_hash for hit in hits if hit]

    assert database.read(lambda uow: uow.tokens.find("0")) == tokens[0]
    used = [write(database, lambda uow: uow.tokens.revoke_hash("2")) for _ in range(2)]
    assert (used, found()) == ([True, False], ["0", "1"])
    write(database, lambda uow: uow.tokens.extend(execution.execution_id, expires_at=later))
    extended = database.read(lambda uow: uow.tokens.find("1"))
    assert extended is not None
    assert extended.expires_at == later
    write(database, lambda uow: uow.tokens.revoke(execution.execution_id, kind="run"))
    assert found() == ["0"]
    write(database, lambda uow: uow.tokens.revoke(execution.execution_id))
    assert found() == []
