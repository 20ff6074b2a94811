# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run's picture: events fold into it in any repetition; nothing hostile gets out of it into a page or terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from animus import painting, progress
from animus.story import LOG_LINES, Series, Story, plain
from animus_contracts.artifacts import Artifact, ArtifactKind
from animus_contracts.digests import digest_bytes
from animus_contracts.environments import Resources
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import CodeRef, Failure, FailureReason, Run, RunClass, RunState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "\x1b]0;title\x07\x1b[31m<script>alert('x')</script>\"onload=x \x9b\x00&amp;"


def a_run(**more: Any) -> Run:
    digest = digest_bytes(b"")
    fields: dict[str, Any] = {
        "run_id": "0198", "project_id": "p", "run_class": RunClass.DEVELOPMENT, "environment_lock_id": "l",
        "code": CodeRef(repository="https://git.example.org/r.git", commit="0" * 40, path="train.ipynb"),
        "env_hash": digest, "datasets": [], "parameters": {}, "parameters_schema_digest": digest, "outputs": [],
        "resources": Resources(), "seed": None, "labels": {}, "policy_snapshot_id": "s",
        "policy_snapshot_digest": digest, "policy_decision_id": "d", "inputs_hash": digest, "spec_hash": digest,
        "plan_digest": digest, "created_at": NOW, "created_by": "user:ann", "state": RunState.QUEUED,
    }  # fmt: skip
    return Run(**(fields | more))


def events(*told: tuple[str, dict[str, Any]]) -> list[RunEvent]:
    return [
        RunEvent(event_id=number, run_id="0198", type=kind, at=NOW + timedelta(seconds=number), data=data)
        for number, (kind, data) in enumerate(told, start=1)
    ]


STORY = events(
    ("run.state", {"state": "running", "version": 3}),
    ("notebook.started", {"cells_total": 3}),
    ("cell.started", {"cell_id": "a", "cell_index": 0}),
    ("stream.written", {"text": "epoch 1\repoch 2\rep"}),
    ("stream.written", {"text": "och 3\nnext"}),
    ("cell.ended", {"cell_id": "a", "cell_index": 0, "seconds": 2.5, "status": "ok"}),
    ("metric.logged", {"name": "loss", "step": 0, "value": 1.0}),
    ("metric.logged", {"name": "loss", "step": 1, "value": 0.5}),
    ("something.new", {"whatever": 1}),
    ("cell.started", {"cell_id": "b", "cell_index": 1}),
)


def fold(told: list[RunEvent], run: Run | None = None) -> Story:
    story = Story(run or a_run())
    for event in told:
        story.fold(event)
    return story


def picture(story: Story) -> dict[str, Any]:
    names = ("state", "cells_total", "cells_done", "cells", "metrics", "log", "started_at")
    return {name: getattr(story, name) for name in names}


def test_events_fold_into_state_cells_metrics_and_log() -> None:
    story = fold(STORY)
    assert (story.state, story.cells_done, story.cells_total) == (RunState.RUNNING, 1, 3)
    assert story.log == ["epoch 3", "next"]
    assert story.metrics["loss"] == Series(step=1, values=[1.0, 0.5])
    assert story.seconds(NOW + timedelta(seconds=11)) == 10.0
    assert painting.position(story, NOW + timedelta(seconds=12)) == "cell 2 of 3 · 2.0 s"


def test_an_event_that_comes_twice_changes_nothing() -> None:
    twice = [event for event in STORY for _ in range(2)] + STORY
    assert picture(fold(twice)) == picture(fold(STORY))


def test_the_log_keeps_its_last_lines_only() -> None:
    story = fold(events(("stream.written", {"text": "".join(f"{n}\n" for n in range(5000))})))
    assert (len(story.log), story.log[-1]) == (LOG_LINES - 1, "4999")


def test_the_final_record_wins() -> None:
    story = fold(STORY)
    failure = Failure(reason=FailureReason.TIMEOUT, summary="too slow")
    ended = a_run(state=RunState.FAILED, failure=failure, started_at=NOW, finished_at=NOW + timedelta(seconds=4))
    story.settle(ended)
    assert (story.state, story.failure, story.seconds(NOW + timedelta(days=1))) == (RunState.FAILED, failure, 4.0)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_nothing_hostile_reaches_the_page() -> None:
    failure = Failure(
        reason=FailureReason.USER_CODE, summary=HOSTILE, exception=HOSTILE, remedy=HOSTILE, detail=HOSTILE
    )
    story = fold(
        events(
            ("notebook.started", {"cells_total": 1}),
            ("cell.ended", {"cell_id": HOSTILE, "cell_index": 0, "seconds": 9.0, "status": HOSTILE}),
            ("stream.written", {"text": HOSTILE}),
            ("metric.logged", {"name": HOSTILE, "step": 0, "value": 1.0}),
            ("run.state", {"state": "failed", "failure": msgspec.to_builtins(failure)}),
        ),
        a_run(code=CodeRef(repository="https://git.example.org/r.git", commit="0" * 40, path=HOSTILE + ".ipynb")),
    )
    made = Artifact(
        artifact_id="a", project_id="p", run_id="0198", attempt=1, name=HOSTILE, kind=ArtifactKind.OUTPUT,
        media_type=HOSTILE, digest=digest_bytes(b""), size_bytes=1, created_at=NOW,
    )  # fmt: skip
    page = painting.header(story, "/p'onclick='x", NOW) + painting.cells(story) + painting.position(story, NOW)
    page += painting.metrics(story) + painting.log(story) + painting.ending(story, [made])
    tags = _Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert tags.attributes <= {"class", "style", "title", "href", "target", "rel"}
    assert "\x1b" not in page


def test_nothing_hostile_reaches_the_terminal() -> None:
    told = StringIO()
    console = Console(file=told, force_terminal=False, color_system=None, width=200)
    failure = Failure(reason=FailureReason.USER_CODE, summary=HOSTILE, exception=HOSTILE, remedy=HOSTILE)
    story = fold(events(("run.state", {"state": "failed", "failure": msgspec.to_builtins(failure)})))
    progress.conclude(story, console)
    assert "\x1b" not in told.getvalue()
    assert "\x9b" not in told.getvalue()
    assert "<script>" in told.getvalue()  # as text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title without end", ""),
        ("\x9b31mC1", "31mC1"),
        ("a\tb\nc\rd", "a\tb\nc\rd"),
        ("\x00\x07\x7f", ""),
        ("\x1bPq#0\x1b\\x", "Pq#0\\x"),
        ("grüße 🎉", "grüße 🎉"),
    ],
)
def test_control_sequences_are_taken_out(text: str, kept: str) -> None:
    assert plain(text) == kept


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (185, "3:05 min"), (3723, "1:02:03 h"), (86400, "24:00:00 h")],
)
def test_durations_are_for_people(seconds: float, told: str) -> None:
    assert painting.duration(seconds) == told


@pytest.mark.parametrize(
    ("values", "drawn"), [([1.0], ""), ([1.0, 1.0], ""), ([0.0, 1.0], "▁█"), ([3.0, 2.0, 1.0], "█▄▁")]
)
def test_a_series_is_drawn_from_its_lowest_to_its_highest(values: list[float], drawn: str) -> None:
    assert painting.sparkline(Series(values=values)) == drawn


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**50, "1024.0 TiB")])
def test_sizes_are_for_people(count: int, told: str) -> None:
    assert painting.size(count) == told


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("pending", "waits until 2026-01-08T00:00 UTC for another person's approval: four eyes"),
        ("approved", "approval approved by user:eve: go"),
        ("refused", "approval refused by user:eve: go"),
        ("expired", "approval expired by user:eve: go"),
    ],
)
def test_who_follows_a_run_is_told_of_its_approval(state: str, expected: str) -> None:
    story = Story(a_run(state=RunState.AWAITING_APPROVAL))
    data = {
        "state": state,
        "reason": "four eyes",
        "by": "user:eve",
        "comment": "go",
        "expires_at": "2026-01-08T00:00:00",
    }

    story.fold(events(("approval.changed", data))[0])

    assert (story.approval, painting.position(story, NOW)) == (expected, expected.replace("'", "&#x27;"))


def test_nothing_hostile_gets_out_of_an_approval() -> None:
    story = Story(a_run(state=RunState.AWAITING_APPROVAL))
    data = {"state": "pending", "reason": HOSTILE, "by": None, "comment": "", "expires_at": "2026-01-08T00:00:00"}

    story.fold(events(("approval.changed", data))[0])

    painted = painting.position(story, NOW)
    assert "<script>" not in painted
    assert "\x1b" not in painted
