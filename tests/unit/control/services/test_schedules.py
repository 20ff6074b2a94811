# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule is created, stopped and set going again only as written down, and by whom that is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.identifiers import LockId
from animus_contracts.pages import NamedListQuery
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import CodeRef
from animus_contracts.schedules import ScheduleState
from animus_control.domain.errors import AnimusError
from animus_control.domain.limits import Limits
from tests.unit.control.services.desk import ADA, ED, VIC, Desk
from tests.unit.control.services.timetable import ELLA, create, read

pytestmark = pytest.mark.usefixtures("at_noon")


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"cron": "* * * * * *"}, "invalid_request", "$.cron"),
        ({"cron": "0 0 31 2 *"}, "invalid_request", "$.cron"),
        ({"time_zone": "Mars/Base"}, "invalid_request", "$.time_zone"),
        ({"name": "not a name"}, "invalid_request", "$.name"),
        ({"ref": "--upload-pack=evil"}, "invalid_request", "$.ref"),
        ({"code": CodeRef(repository="file:///a", commit="main", path="a.ipynb")}, "invalid_code_ref", "$.code.commit"),
        ({"environment_lock_id": LockId("none")}, "environment_lock_not_found", ""),
        ({"parameters": {"password": "hunter2"}}, "secret_in_parameters", "$.parameters.password"),
    ],
)
def test_an_unsound_schedule_is_refused_with_its_place_and_leaves_nothing(
    desk: Desk, changes: dict[str, Any], code: str, path: str
) -> None:
    desk.project()
    of_submission = {
        key: value for key, value in changes.items() if key in {"code", "environment_lock_id", "parameters"}
    }
    submission = desk.submission(**of_submission)
    rest = {key: value for key, value in changes.items() if key not in of_submission}

    with pytest.raises(AnimusError) as caught:
        create(desk, submission=submission, **rest)

    assert caught.value.code == code
    assert not path or [fault.path for fault in caught.value.faults] == [path]
    assert desk.do(VIC, "schedules.list", NamedListQuery(), project="demo").items == []


S = ScheduleState
VERBS: dict[tuple[ScheduleState, str], ScheduleState | str] = {
    (S.ACTIVE, "pause"): S.PAUSED,
    (S.ACTIVE, "resume"): S.ACTIVE,
    (S.ACTIVE, "retire"): S.RETIRED,
    (S.PAUSED, "pause"): S.PAUSED,
    (S.PAUSED, "resume"): S.ACTIVE,
    (S.PAUSED, "retire"): S.RETIRED,
    (S.RETIRED, "pause"): "invalid_transition",
    (S.RETIRED, "resume"): "invalid_transition",
    (S.RETIRED, "retire"): S.RETIRED,
}


@pytest.mark.parametrize("verb", ["pause", "resume", "retire"])
@pytest.mark.parametrize("state", ScheduleState)
def test_a_schedule_moves_only_as_written_down(any_desk: Desk, state: ScheduleState, verb: str) -> None:
    desk = any_desk
    schedule = create(desk)
    if state is not S.ACTIVE:
        before = "pause" if state is S.PAUSED else "retire"
        desk.do(ED, f"schedules.{before}", project="demo", schedule=schedule.schedule_id)
    expected = VERBS[state, verb]

    if isinstance(expected, ScheduleState):
        after = desk.do(ED, f"schedules.{verb}", project="demo", schedule=schedule.schedule_id)
        assert (after.state, after.next_at is not None) == (expected, expected is S.ACTIVE)
        return
    with pytest.raises(AnimusError) as caught:
        desk.do(ED, f"schedules.{verb}", project="demo", schedule=schedule.schedule_id)
    assert caught.value.code == expected


@pytest.mark.parametrize(("verb", "others"), [("pause", True), ("retire", True), ("resume", False)])
@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, False), (Role.EDITOR, None), (Role.ADMIN, True)])
def test_others_may_stop_a_schedule_but_only_an_administrator_sets_it_going_again(
    desk: Desk, role: Role, allowed: bool | None, verb: str, others: bool
) -> None:
    create(desk)
    desk.do(ED, "schedules.pause", project="demo", schedule="nightly")
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="ella", role=role)
    desk.do(ADA, "role_bindings.put", binding, project="demo")
    may = others if allowed is None else allowed

    if may:
        desk.do(ELLA, f"schedules.{verb}", project="demo", schedule="nightly")
        return
    with pytest.raises(AnimusError) as caught:
        desk.do(ELLA, f"schedules.{verb}", project="demo", schedule="nightly")
    assert caught.value.code == "forbidden"


def test_a_name_is_taken_until_the_schedule_is_retired(any_desk: Desk) -> None:
    desk = any_desk
    submission = create(desk).submission

    with pytest.raises(AnimusError) as caught:
        create(desk, submission=submission)
    desk.do(ED, "schedules.retire", project="demo", schedule="nightly")
    second = create(desk, submission=submission)

    assert caught.value.code == "schedule_name_exists"
    assert read(desk).schedule_id == second.schedule_id


def test_a_project_has_a_bounded_number_of_schedules(desk: Desk) -> None:
    desk.limits = Limits(schedules=1, repository_schemes=desk.limits.repository_schemes)
    submission = create(desk).submission

    with pytest.raises(AnimusError) as caught:
        create(desk, name="weekly", submission=submission)

    assert caught.value.code == "too_many_schedules"
