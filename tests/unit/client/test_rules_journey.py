# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""From a rule to a run that waits, is approved, and comes again every night, as people type it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from animus.client import Client
from animus.display import as_html
from animus.errors import UsageError
from animus.verbs.policies import moment_of
from animus_contracts.approvals import ApprovalState
from animus_contracts.runs import RunState
from tests.fakes.puppet import Puppet
from tests.unit.client.conftest import run_git

Animus = Callable[..., tuple[int, str, str]]
As = Callable[[str], None]
GATE = """@id("gate")
@reason("a second person looks at every run")
forbid (principal, action, resource)
unless { context has approval };
"""
SEEDED = """@id("seed") @reason("a run has a seed")
forbid (principal, action, resource) when { context.limitations.contains("seed_not_set") };
"""


@pytest.fixture(autouse=True)
def in_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> As:
    """Go on as another person."""
    return lambda name: monkeypatch.setenv("JUPYTERHUB_API_TOKEN", name)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A policy that wants an approval for every run."""
    file = tmp_path / "gate.cedar"
    file.write_text(GATE)
    return file


def test_a_policy_is_stored_listed_and_shown(animus: Animus, gate: Path) -> None:
    assert animus("policy", "put", "gate", str(gate), "--description", "four eyes", "--disabled")[0] == 0
    assert animus("policy", "put", "gate", str(gate), "--disabled")[0] == 0
    code, out, _ = animus("policies", "--json")
    assert (code, [(each["name"], each["version"], each["state"]) for each in json.loads(out)]) == (
        0, [("gate", 2, "disabled")],
    )  # fmt: skip
    assert "unless { context has approval };" in animus("policy", "show", "gate")[1]
    assert "not_found: there is no policy 'none'" in animus("policy", "show", "none")[2]


def test_a_malformed_policy_is_one_line_in_the_engines_words(animus: Animus, tmp_path: Path) -> None:
    broken = tmp_path / "broken.cedar"
    broken.write_text("forbid (principal, action")
    for command in (("policy", "put", "x", str(broken)), ("policy", "simulate", str(broken))):
        code, out, err = animus(*command)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "invalid_policy: the policy does not parse" in err


def test_a_policy_is_tried_on_what_was_submitted(animus: Animus, desk: Client, tmp_path: Path, gate: Path) -> None:
    animus("run", "train.ipynb")
    animus("run", "train.ipynb", "--seed", "1")
    seeded = tmp_path / "seeded.cedar"
    seeded.write_text(SEEDED)
    unseeded = next(run for run in desk.runs.list() if run.seed is None)

    code, out, err = animus("policy", "simulate", str(seeded), "--since", "30d")

    assert (code, err) == (0, "")
    assert "2 submissions judged, 1 as before" in out
    assert f"run {unseeded.run_id}  user:ann  allow → deny  a run has a seed  (project/seeded/seed)" in out
    assert "Would wait for an approval (2)" in animus("policy", "simulate", str(gate))[1]
    assert animus("policies")[1] == "nothing\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(weeks=2)),
        ("90m", timedelta(minutes=90)),
    ],
)
def test_a_span_of_time_counts_back_from_now(text: str, expected: timedelta) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)

    assert moment_of(text, now) == now - expected


@pytest.mark.parametrize("text", ["", "yesterday", "30", "d", "-3d", "30 d", "99999999d", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        moment_of(text, datetime(2026, 3, 1, tzinfo=UTC))


def test_a_run_waits_for_another_person_and_goes_on_with_their_word(
    animus: Animus, desk: Client, become: As, gate: Path
) -> None:
    animus("policy", "put", "gate", str(gate))
    become("ed")
    code, out, _ = animus("run", "train.ipynb")
    run = out.split()[0]
    assert (code, out.split()[1]) == (0, "awaiting_approval")
    assert "approval pending" in animus("explain", run)[1]
    code, _, err = animus("approve", run)
    assert (code, "forbidden: " in err) == (3, True)

    become("ann")
    code, out, _ = animus("approvals")
    assert (code, run in out, "a second person looks at every run" in out) == (0, True, True)
    assert json.loads(animus("approve", run, "--comment", "fine", "--json")[1])["state"] == "approved"

    assert desk.runs.read(run).state is RunState.QUEUED
    assert animus("approvals")[1] == "nothing\n"
    assert "approval approved by user:ann" in animus("explain", run)[1]
    code, _, err = animus("refuse", run, "--comment", "too late")
    assert (code, "approval_not_pending: " in err) == (3, True)
    assert "not_found: run 'none' waits for no approval" in animus("approve", "none")[2]


def test_an_approver_finds_what_waits_in_all_their_projects_without_naming_one(
    animus: Animus, desk: Client, become: As, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    animus("policy", "put", "gate", str(gate))
    become("ed")
    run = animus("run", "train.ipynb")[1].split()[0]
    assert run not in animus("approvals", "--everywhere")[1]

    become("ann")
    assert run in animus("approvals", "--everywhere")[1]
    monkeypatch.delenv("ANIMUS_PROJECT")
    code, out, _ = animus("approvals")
    assert (code, f"{desk.project}  {run}" in out, "user:ed" in out) == (0, True, True)
    assert f"<td>{desk.project}</td><td>{run}</td>" in as_html(list(desk.approvals.everywhere()))
    assert animus("approve", run, "--project", desk.project)[0] == 0
    assert run not in animus("approvals")[1]
    assert run in animus("approvals", "--state", "approved")[1]


def test_ones_own_run_is_refused_with_the_way_out(animus: Animus, desk: Client, gate: Path) -> None:
    animus("policy", "put", "gate", str(gate))
    run = animus("run", "train.ipynb")[1].split()[0]

    code, _, err = animus("approve", run)

    assert (code, err.count("\n")) == (3, 1)
    assert "approval_requires_second_person: You submitted this run yourself. — Ask another administrator" in err
    assert desk.approvals.of_run(run).state is ApprovalState.PENDING


def test_who_watches_a_waiting_run_sees_the_refusal_and_why(
    animus: Animus, desk: Client, become: As, gate: Path
) -> None:
    animus("policy", "put", "gate", str(gate))
    become("ed")
    run = animus("run", "train.ipynb")[1].split()[0]
    refusing = threading.Timer(0.3, lambda: desk.approvals.refuse(desk.approvals.of_run(run), comment="too big"))
    refusing.start()

    _, out, _ = animus("watch", run, "--wait")

    refusing.join()
    said = " ".join(out.split())
    assert "another person's approval: a second person looks at every run" in said
    assert "approval refused by user:ann: too big" in said
    assert "The run was not approved: user:ann refused it: too big" in said


def test_a_schedule_is_made_shown_rested_and_ended(animus: Animus, desk: Client, puppet: Puppet) -> None:
    del puppet
    words = ("--cron", "0 6 * * 1-5", "--zone", "Europe/Berlin", "--overlap", "allow")
    code, out, err = animus("schedule", "add", "nightly", *words, "--", "train.ipynb", "-p", "depth=4", "--json")
    assert (code, err) == (0, "")
    made = desk.schedules.read("nightly")
    assert (made.submission.parameters, made.submission.code.path) == ({"depth": 4}, "train.ipynb")
    assert (made.cron, made.time_zone, made.overlap, len(made.upcoming)) == ("0 6 * * 1-5", words[3], "allow", 5)
    code, out, _ = animus("schedule", "show", "nightly")
    assert code == 0
    for told in ("active: 0 6 * * 1-5 (Europe/Berlin), in the name of user:ann", "Next", "Last\n  nothing"):
        assert told in out
    assert "<h4>Next</h4>" in as_html(animus_story(desk))
    assert "paused" in animus("schedule", "pause", "nightly")[1]
    assert "active" in animus("schedule", "resume", "nightly")[1]
    assert "0 6 * * 1-5 Europe/Berlin" in animus("schedules")[1]
    assert animus("schedule", "remove", "nightly")[1] == "schedule nightly is retired\n"
    assert "not_found: " in animus("schedule", "show", "nightly")[2]


def animus_story(desk: Client) -> object:
    from animus.verbs.schedules import ScheduleStory  # noqa: PLC0415 - only here

    return ScheduleStory(schedule=desk.schedules.read("nightly"), firings=list(desk.schedules.firings("nightly")))


def test_a_schedule_on_a_branch_keeps_its_name(animus: Animus, desk: Client, checkout: Path) -> None:
    code, _, err = animus("schedule", "add", "tip", "--cron", "0 6 * * *", "--branch", "main", "--", "train.ipynb")

    made = desk.schedules.read("tip")
    assert (code, err) == (0, "")
    assert (made.ref, made.submission.code.commit) == ("main", run_git(checkout, "rev-parse", "HEAD"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--cron", "* * * * * *", "--", "train.ipynb"], 3, "$.cron: must have 5 fields"),
        (["--cron", "0 0 31 2 *", "--", "train.ipynb"], 3, "'0 0 31 2 *' is not understood: Bad day-of-month"),
        (["--cron", "0 6 * * *", "--zone", "Mars", "--", "train.ipynb"], 3, "$.time_zone: must be a time zone"),
        (["--cron", "0 6 * * *", "--branch", "--evil", "--", "train.ipynb"], 2, "usage: "),
        (["--cron", "0 6 * * *", "--branch=-evil", "--", "train.ipynb"], 3, "$.ref: must be a branch"),
        (["--cron", "0 6 * * *", "--", "missing.ipynb"], 2, "notebook_not_found: "),
        (["--cron", "0 6 * * *", "--", "train.ipynb", "--watch"], 2, "--watch makes no sense in a schedule"),
        (["--cron", "0 6 * * *", "--", "train.ipynb", "--dance"], 2, "usage: "),
        (["--", "train.ipynb"], 2, "usage: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_schedule_that_cannot_be_is_one_line_and_leaves_nothing(
    animus: Animus, desk: Client, words: list[str], code: int, said: str
) -> None:
    ended, out, err = animus("schedule", "add", "nightly", *words)

    assert (ended, out, err.count("\n")) == (code, "", 1), err
    assert said in err
    assert list(desk.schedules.list()) == []
