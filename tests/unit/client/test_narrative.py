# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The story of a run as the real control plane tells it, as text and as a drawing that hostile names cannot break."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from animus import display, lineage
from animus.client import Client
from animus.submission import Wish
from animus_contracts.audit import Action, AuditRecord
from animus_contracts.decoding import decode_json
from animus_contracts.explanations import Explanation
from tests.fakes.puppet import Puppet
from tests.unit.client.test_story import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def story(client: Client, puppet: Puppet, checkout: Path, tmp_path: Path) -> Explanation:
    (tmp_path / "wine.csv").write_text("a,b\n")
    client.datasets.add("wine", [tmp_path / "wine.csv"])
    wish = Wish(notebook=checkout / "train.ipynb", parameters={"depth": 4}, datasets={"train": "wine"}, seed=7)
    run = client.run(wish)
    puppet.play(files={"model.bin": b"model", "plot.png": b"plot"})
    return client.runs.explain(run.run_id)


def test_the_text_says_what_who_under_which_rules_and_what_came_out(story: Explanation) -> None:
    told = display.as_text(story)
    run = story.run
    for words in (
        f"{run.run_id}  succeeded  (development)",
        "submitted by user:ann",
        f"notebook train.ipynb at {run.code.commit}",
        "dataset wine@1 as 'train'",
        "parameters depth=4",
        "seed 7",
        run.inputs_hash,
        run.spec_hash,
        "members-may-run at",
        "run.created",
        "accuracy = 0.5",
        "dataset wine@1 as train",
        "─▶ model.bin",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("action", "details", "words"),
    [
        (Action.RUN_RETRY_HELD, {"reason": "the Hub is silent"}, "run.retry_held: the Hub is silent"),
        (Action.RUN_RETRY_REFUSED, {"code": "forbidden", "detail": "No role."}, "run.retry_refused: No role."),
        (Action.RUN_RETRY_WITHDRAWN, {"reason": ""}, "run.retry_withdrawn\n"),
        (Action.RUN_RETRY_WITHDRAWN, {"reason": "a\x1b[2Jb"}, "run.retry_withdrawn: a"),
        (Action.RUN_CANCEL_REQUESTED, {"reason": "told elsewhere"}, "run.cancel_requested\n"),
    ],
)
def test_what_became_of_a_retry_is_told_with_its_reason(
    story: Explanation, action: Action, details: dict[str, str], words: str
) -> None:
    event = story.audit[0]
    record = decode_json(event.record, AuditRecord)
    told = msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(record, action=action, details=details)))
    shown = display.as_text(msgspec.structs.replace(story, audit=[msgspec.structs.replace(event, record=told)]))
    assert words in shown
    assert "\x1b" not in shown


def test_the_drawing_has_a_box_for_everything_and_a_line_to_each(story: Explanation) -> None:
    svg = ET.fromstring(lineage.as_svg(story))  # noqa: S314 - written by the code under test
    titles = {title.text for title in svg.iter(f"{SVG}title")}
    assert titles == {"run (succeeded)", *lineage.sources_of(story), *lineage.products_of(story)}
    assert len(list(svg.iter(f"{SVG}path"))) == len(titles) - 1
    assert lineage.as_svg(story) in display.as_html(story)


def test_hostile_names_stay_names_in_the_drawing(story: Explanation) -> None:
    artifacts = [msgspec.structs.replace(made, name=HOSTILE) for made in story.artifacts]
    svg = ET.fromstring(lineage.as_svg(msgspec.structs.replace(story, artifacts=artifacts)))  # noqa: S314 - as above
    assert {element.tag for element in svg.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "rect", "text", "title", "path")
    }


def test_a_run_that_has_made_nothing_yet_is_drawn_too(story: Explanation) -> None:
    empty = msgspec.structs.replace(story, artifacts=[], provenance=None, metrics=[], executions=[])
    ET.fromstring(lineage.as_svg(empty))  # noqa: S314 - as above
    assert "Made\n  nothing" in display.as_text(empty)


def test_every_kind_of_answer_has_its_table_in_text_html_and_json(client: Client, story: Explanation) -> None:
    answers = [
        client.whoami(), list(client.projects.list()), list(client.members.list()), list(client.datasets.list()),
        list(client.datasets.versions("wine")), list(client.environments.list()), list(client.environments.locks()),
        list(client.runs.list()), list(client.metrics.list(story.run.run_id)),
        list(client.artifacts.list(story.run.run_id)), list(client.audit.list()), story, [],
    ]  # fmt: skip
    for answer in answers:
        assert display.as_text(answer)
        assert display.as_html(answer).startswith("<")
        assert msgspec.json.decode(display.as_json(answer)) is not None
