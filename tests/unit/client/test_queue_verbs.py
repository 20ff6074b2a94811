# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The queue from where people stand: how a run is to wait, why it does, what a project may use, who executes."""

from __future__ import annotations

import json
import threading
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from animus.client import Client
from animus.errors import RefusedError, UnreachableError
from animus.queue_grammar import seconds
from animus.session import Session
from animus.waiting import Waits, in_one_line, stopped
from animus_contracts.identifiers import RunId
from animus_contracts.queues import Waiting, WaitingReason
from animus_contracts.runs import RunState
from tests.fakes.puppet import Puppet
from tests.ports.records_of_a_project import NOW, a_run

Animus = Callable[..., tuple[int, str, str]]
NEEDY = ("run", "train.ipynb", "--needs", "gpu=a100")


@pytest.fixture
def in_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(checkout)
    return checkout


@pytest.fixture
def as_root(desk: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Let commands be those of an administrator of the platform."""
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "root")
    with Client(Session(url=desk.session.url, token="root", project=desk.project)) as root:
        yield root


def waits(reason: WaitingReason = WaitingReason.NO_EXECUTOR, **more: object) -> Waiting:
    return Waiting(run_id=RunId("r"), reason=reason, detail="No executor.", **more)  # type: ignore[arg-type]  # tests


@pytest.mark.usefixtures("in_checkout")
def test_how_a_run_is_to_be_queued_is_said_when_it_is_submitted(animus: Animus, desk: Client) -> None:
    code, _, err = animus(
        *NEEDY, "--priority", "7", "--queue-time", "10m", "--cell-time", "1.5", "--retries", "2", "--needs", "zone=eu"
    )
    run = next(desk.runs.list())
    assert (code, run.priority, run.queue_seconds, run.cell_seconds, run.retries) == (0, 7, 600, 1.5, 2)
    assert run.executor_labels == {"gpu": "a100", "zone": "eu"}
    assert "note: it waits: No executor" in err


@pytest.mark.usefixtures("in_checkout", "desk")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--priority", "101"), "priority"),
        (("--retries", "9"), "retries"),
        (("--queue-time", "soon"), "soon"),
        (("--needs", "gpu"), "gpu"),
        (("--needs", "gpu=a 100"), "a 100"),
    ],
)
def test_what_cannot_be_queued_is_one_line(animus: Animus, words: tuple[str, ...], said: str) -> None:
    code, _, err = animus("run", "train.ipynb", *words)
    assert code in {2, 3}
    assert said in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.usefixtures("in_checkout")
def test_a_list_tells_why_a_run_waits(animus: Animus, desk: Client) -> None:
    assert animus(*NEEDY)[0] == 0

    text, listed = animus("runs", "--state", "queued")[1], json.loads(animus("runs", "--json")[1])

    assert "place 1 in the project's queue" in text
    assert [item["waiting"]["position"] for item in listed] == [1]
    run = next(desk.runs.list())
    assert desk.runs.waiting(run.run_id).reason in {WaitingReason.NO_EXECUTOR, WaitingReason.NO_CAPACITY}
    assert "waits: No executor" in animus("explain", run.run_id)[1]
    desk.runs.cancel(run.run_id)
    assert "waiting" not in json.loads(animus("runs", "--json")[1])[0]
    assert "waits:" not in animus("explain", run.run_id)[1]


@pytest.mark.usefixtures("in_checkout")
def test_cancel_says_what_became_of_it(animus: Animus, desk: Client) -> None:
    assert animus(*NEEDY)[0] == 0
    run = next(desk.runs.list())
    assert "it was stopped before it started" in animus("cancel", run.run_id)[1]
    assert "it had canceled before" in animus("cancel", run.run_id)[1]


@pytest.mark.parametrize(
    ("before", "after", "started", "told"),
    [
        (RunState.RUNNING, RunState.CANCELED, True, "its executor stopped it"),
        (RunState.QUEUED, RunState.CANCELED, False, "it was stopped before it started"),
        (RunState.RUNNING, RunState.SUCCEEDED, True, "it succeeded before its executor could stop it"),
        (RunState.RUNNING, RunState.RUNNING, True, "its executor was asked to stop it, and has not answered yet"),
        (RunState.FAILED, RunState.FAILED, True, "it had failed before"),
    ],
)
def test_each_end_of_a_cancellation_has_its_words(
    before: RunState, after: RunState, *, started: bool, told: str
) -> None:
    run = a_run(state=after, started_at=NOW if started else None)
    assert stopped(a_run(state=before), run).told == told


def test_a_quota_is_set_piece_by_piece_and_shown_with_what_is_used(animus: Animus, as_root: Client) -> None:
    assert "no bound" in animus("quota", "show")[1]
    assert animus("quota", "set", "--concurrent-runs", "2", "--cpu-hours", "10.5", "--weight", "3")[0] == 0
    code, text, _ = animus("quota", "set", "--cpu-hours", "none", "--max-priority", "0")

    assert code == 0
    assert "0 of 2" in text
    quota = as_root.quotas.read().quota
    assert quota is not None
    assert (quota.version, quota.concurrent_runs, quota.cpu_hours, quota.weight, quota.max_priority) == (
        2,
        2,
        None,
        3,
        0,
    )


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ((), 2, "nothing is to be changed"),
        (("--concurrent-runs", "-1"), 3, "concurrent_runs"),
        (("--concurrent-runs", "many"), 2, "whole number"),
        (("--cpu-hours", "nan"), 2, "number"),
        (("--gpu-hours", "-0.5"), 3, "gpu_hours"),
        (("--period-days", "0"), 3, "period_days"),
    ],
)
@pytest.mark.usefixtures("as_root")
def test_a_quota_that_means_nothing_is_one_line(
    animus: Animus, words: tuple[str, ...], exit_code: int, said: str
) -> None:
    code, _, err = animus("quota", "set", *words)
    assert (code, len(err.strip().splitlines())) == (exit_code, 1)
    assert said in err


def test_a_member_reads_the_quota_and_cannot_set_it(animus: Animus, desk: Client) -> None:
    assert desk.quotas.read().quota is None
    code, _, err = animus("quota", "set", "--concurrent-runs", "9")
    assert (code, "forbidden" in err) == (3, True)


def test_executors_are_listed_for_the_platform_alone(
    animus: Animus, as_root: Client, client: Client, puppet: Puppet
) -> None:
    del puppet
    with pytest.raises(RefusedError):
        list(client.executors.list())
    assert animus("executors")[0] == 0
    assert [executor.name for executor in as_root.executors.list()] in ([], ["local"])


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400)])
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-5", "5 m", "5w", "1e9", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "No executor."),
        ({"position": 3, "ahead": 4}, "No executor. · place 3 in the project's queue"),
        (
            {"position": 1, "estimate_seconds": 90.0},
            "No executor. · place 1 in the project's queue · starts in about 2 min",
        ),
        ({"estimate_seconds": 7200.0}, "No executor. · starts in about 2.0 h"),
    ],
)
def test_the_line_holds_what_is_known(more: dict[str, object], line: str) -> None:
    assert in_one_line(waits(**more)) == line


def test_it_is_asked_again_until_the_run_waits_no_more_and_trouble_is_passed_over() -> None:
    answers: list[Waiting | None] = [waits(), None, waits(position=1), waits(WaitingReason.NOT_WAITING)]
    shown: list[str] = []
    over = threading.Event()

    def ask() -> Waiting:
        answer = answers.pop(0)
        if answer is None:
            raise UnreachableError("unreachable", "not now")
        return answer

    def show(line: str) -> None:
        shown.append(line)
        if not line:
            over.set()

    with Waits(ask, show, first=0, every=0):
        assert over.wait(10)

    assert shown == ["No executor.", "No executor. · place 1 in the project's queue", ""]
    assert answers == []


def test_who_stops_waiting_asks_no_more() -> None:
    with Waits(lambda: pytest.fail("asked"), pytest.fail, first=60) as asking:
        asking.stop()
