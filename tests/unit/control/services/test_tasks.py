# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks of the data plane: one at a time, under their attempt, given back when lost, given up in the end."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.answers import AnswerState
from animus_contracts.inspections import CreateInspection, Inspection, NotebookFindings, UndefinedName
from animus_contracts.tasks import TaskFailed, TaskState
from animus_control.domain.errors import AnimusError, ConflictError, InvalidError, MissingError
from animus_control.domain.identity import SYSTEM
from animus_control.domain.inspections import is_ref
from animus_control.services import inspections
from animus_control.services.inspections import MOST_NAMES
from animus_control.services.tasks import return_lost_tasks
from tests.unit.control.services.checks import FOUND, a_verdict, answer, end_task, leased_task
from tests.unit.control.services.desk import ED, LOCAL, REMOTE, VIC, Desk

REPOSITORY = "file:///srv/a.git"


def asked(desk: Desk, ref: str = "main", **changes: str) -> Inspection:
    message = CreateInspection(**{"repository": REPOSITORY, "ref": ref, "path": "train.ipynb"} | changes)
    made: Inspection = desk.do(ED, "inspections.create", message, project="demo")
    return made


def read(desk: Desk, inspection: Inspection) -> Inspection:
    found: Inspection = desk.do(VIC, "inspections.read", project="demo", inspection=inspection.inspection_id)
    return found


def lost(desk: Desk) -> int:
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: return_lost_tasks(uow, call))


def test_an_inspection_is_asked_answered_and_audited(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    inspection = asked(desk)

    lease = answer(desk, FOUND)

    assert (lease.request.ref, lease.comparison) == ("main", None)  # type: ignore[union-attr]  # an inspection's
    ended = read(desk, inspection)
    assert (ended.state, ended.findings, ended.ended_at) == (AnswerState.ANSWERED, FOUND, desk.now)
    assert desk.actions()[-2:] == ["inspection.created", "inspection.ended"]
    assert leased_task(desk) is None


def test_whoever_waits_for_an_inspection_is_told_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Inspection] = []
    monkeypatch.setattr(inspections, "INSPECTED", [lambda _uow, _call, ended: told.append(ended)])
    desk.project()
    inspection = asked(desk)

    lease = answer(desk, FOUND)
    end_task(desk, lease, FOUND)

    assert told == [read(desk, inspection)]


def test_a_task_belongs_to_who_leased_it_and_to_its_attempt(desk: Desk) -> None:
    desk.project()
    asked(desk)
    lease = leased_task(desk)
    assert lease is not None

    with pytest.raises(MissingError):
        end_task(desk, lease, FOUND, REMOTE)
    with pytest.raises(ConflictError) as stale:
        end_task(desk, lease, FOUND, attempt=2)
    assert stale.value.code == "stale_epoch"
    with pytest.raises(InvalidError):
        end_task(desk, lease, a_verdict())
    assert end_task(desk, lease, FOUND) is TaskState.DONE
    assert end_task(desk, lease, FOUND) is TaskState.DONE


def test_an_executor_that_asks_again_gives_back_what_it_held(desk: Desk) -> None:
    desk.project()
    inspection = asked(desk)
    first = leased_task(desk)

    second = leased_task(desk)

    assert first is not None
    assert second is not None
    assert (second.task_id, second.attempt) == (first.task_id, 2)
    with pytest.raises(ConflictError):
        end_task(desk, first, FOUND)
    end_task(desk, second, FOUND)
    assert read(desk, inspection).state is AnswerState.ANSWERED


def test_a_lost_task_goes_to_another_executor_and_is_given_up_after_three(desk: Desk) -> None:
    desk.project()
    inspection = asked(desk)
    for who in (LOCAL, REMOTE, LOCAL):
        assert leased_task(desk, who) is not None
        desk.later(179)
        assert lost(desk) == 0
        desk.later(2)
        assert lost(desk) == 1

    ended = read(desk, inspection)
    assert (ended.state, ended.findings) == (AnswerState.FAILED, None)
    assert "lost" in ended.failure
    assert leased_task(desk) is None


@pytest.mark.parametrize(("is_final", "state"), [(False, AnswerState.PENDING), (True, AnswerState.FAILED)])
def test_a_task_that_failed_is_tried_again_unless_that_is_no_use(
    desk: Desk, is_final: bool, state: AnswerState
) -> None:
    desk.project()
    inspection = asked(desk)

    answer(desk, TaskFailed(reason="no disk", is_final=is_final))

    assert read(desk, inspection).state is state
    assert (leased_task(desk) is None) == is_final


def test_of_many_undefined_names_the_first_ones_are_kept(desk: Desk) -> None:
    desk.project()
    inspection = asked(desk)
    names = [UndefinedName(name=f"n{number}", cell_index=0, cell_id="c", line=1) for number in range(MOST_NAMES + 5)]

    answer(desk, NotebookFindings(commit="0a" * 20, tree="1b" * 20, undefined_names=names))

    findings = read(desk, inspection).findings
    assert findings is not None
    assert findings.undefined_names == names[:MOST_NAMES]


@pytest.mark.parametrize("operation", ["tasks.lease", "tasks.end", "tasks.object"])
def test_nobody_but_an_executor_has_to_do_with_tasks(desk: Desk, operation: str) -> None:
    desk.project()
    with pytest.raises(AnimusError) as refused:
        desk.stream(ED, operation, lambda _uow, _call: None, task="x", digest="y")
    assert refused.value.code == "forbidden"


def test_a_task_that_compares_nothing_reads_nothing(desk: Desk) -> None:
    stored = desk.upload() if desk.project() else None
    assert stored is not None
    asked(desk)
    lease = leased_task(desk)
    assert lease is not None
    with pytest.raises(MissingError):
        desk.do(LOCAL, "tasks.object", task=lease.task_id, digest=stored.digest)


REFS: list[tuple[str, bool]] = [
    ("main", True),
    ("feature/new-model", True),
    ("v1.2.3", True),
    ("0a" * 20, True),
    ("a", True),
    ("", False),
    ("-main", False),
    ("--upload-pack=touch /tmp/x", False),
    ("a..b", False),
    ("a//b", False),
    ("a/.b", False),
    ("a.lock", False),
    ("a.lock/b", False),
    ("a/", False),
    ("a.", False),
    ("a b", False),
    ("a\nb", False),
    ("main^{}", False),
    ("main~1", False),
    ("HEAD:train.ipynb", False),
    ("refs/heads/*", False),
    ("ä", False),
    ("a" * 201, False),
]


@pytest.mark.parametrize(("ref", "accepted"), REFS)
def test_a_ref_is_a_name_and_nothing_else(ref: str, accepted: bool) -> None:
    assert is_ref(ref) is accepted


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"ref": "--exec=x"}, "$.ref"),
        ({"repository": "ext::sh -c id"}, "$.repository"),
        ({"repository": "https://user:pass@host/x"}, "$.repository"),
        ({"path": "../etc/passwd.ipynb"}, "$.path"),
        ({"path": "train.py"}, "$.path"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_with_its_place(desk: Desk, changes: dict[str, Any], path: str) -> None:
    desk.project()
    with pytest.raises(InvalidError) as refused:
        asked(desk, **changes)
    assert [fault.path for fault in refused.value.faults] == [path]
    assert leased_task(desk) is None
