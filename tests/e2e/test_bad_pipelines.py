# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A wrong pipeline is refused as a whole, by the shell with its line and by the API with its place; nothing is made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from animus_contracts.decoding import convert
from animus_contracts.pipeline_runs import CancelPipeline, SubmitPipeline
from animus_contracts.pipelines import Pipeline
from animus_contracts.runs import CodeRef
from tests.e2e.bad_input import FOREIGN, NOTEBOOK, STRANGER, VIEWER, Works, one_line, refused, the_works

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DIGEST = "sha256:" + "ab" * 32
MANY = list(range(1000))
HEAD = "name: wine\nenvironment: plain\nnodes:\n"
A = "  a: {notebook: train.ipynb, outputs: [o]}\n"
BOMB = "a: &a [x]\n" + "".join(f"{'b' * (i + 1)}: &b{i} [*{'a' if not i else f'b{i - 1}'}, *a]\n" for i in range(30))


@pytest.fixture(scope="module", name="works")
def _works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with the_works(tmp_path_factory.mktemp("flows"), executes=False) as works:
        yield works


@pytest.fixture(autouse=True)
def _nothing_is_lost_or_made(works: Works) -> Iterator[None]:
    yield
    works.check_nothing_is_lost()
    assert works.call("pipelines.list").json()["items"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [wine\n", "line 2"),
        (HEAD + A + "  a: {notebook: train.ipynb}\n", "line 5, column 3: 'a' is there twice"),
        (BOMB, "anchors and aliases are not allowed"),
        ("a: !!python/name:os.system\n", "tags are not allowed"),
        ("#" * (257 * 1024), "has more than 256 KiB"),
        (HEAD + A + "  b: {notebok: train.ipynb}\n", "line 5: $.nodes.b.notebok"),
        (HEAD + A + "  b: {notebook: ../train.ipynb}\n", "line 5: $.nodes.b.notebook: must not have empty parts"),
        (HEAD + A + "  b: {notebook: train.ipynb, after: [b]}\n", "'b' cannot wait for itself"),
        (HEAD + A + "  b: {notebook: train.ipynb, inputs: {d: {from: a, artifact: p}}}\n", "declare the output"),
        (
            HEAD + "  a: {notebook: train.ipynb, after: [c]}\n  b: {notebook: train.ipynb, after: [a]}\n"
            "  c: {notebook: train.ipynb, after: [b]}\n", "a → b → c → a",
        ),
        (
            HEAD + f"  a: {{notebook: train.ipynb, sweep: {{grid: {{x: {MANY}, y: {MANY}}}}}}}\n",
            "has 1000000 items",
        ),
        (HEAD + "".join(f"  n{i}: {{notebook: a.ipynb}}\n" for i in range(1001)), "not 1001"),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_wrong_file_is_one_line_with_its_place_and_costs_little(works: Works, text: str, told: str) -> None:
    (works.repository.folder / "p.yaml").write_text(text)
    begin = time.monotonic()
    one_line(works.animus("pipeline", "run", "p.yaml"), 2, told)
    assert time.monotonic() - begin < 20


def submission(works: Works, nodes: dict[str, Any], **more: Any) -> SubmitPipeline:
    pipeline = convert({"name": "wine", "environment": "kernel", "nodes": nodes}, Pipeline)
    single = works.submission()
    code = CodeRef(repository=single.code.repository, commit=single.code.commit, path="p.yaml")
    schemas = {NOTEBOOK: single.parameters_schema}
    values: dict[str, Any] = {"pipeline": pipeline, "code": code, "file_digest": DIGEST, "schemas": schemas}
    return SubmitPipeline(**values | more)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({}, ("$.nodes", "must have 1 to 1000 nodes")),
        ({"a": {"notebook": NOTEBOOK, "after": ["a"]}}, ("$.nodes.a.after[0]", "wait for itself")),
        ({"a": {"notebook": NOTEBOOK, "after": ["b"]}, "b": {"notebook": NOTEBOOK, "after": ["a"]}}, ("a → b → a",)),
        ({"a": {"notebook": f"../{NOTEBOOK}"}}, ("$.nodes.a.notebook",)),
        ({"a": {"notebook": NOTEBOOK, "environment": "gone"}}, ("$.nodes.a.environment", "'gone'")),
        ({"a": {"notebook": NOTEBOOK, "sweep": {"grid": {"depth": list(range(257))}}}}, ("257 items",)),
        ({f"n{i}": {"notebook": NOTEBOOK} for i in range(1001)}, ("not 1001",)),
    ],
    ids=range(7),
)
def test_a_client_that_checks_nothing_is_refused_all_the_same(
    works: Works, nodes: dict[str, Any], words: tuple[str, ...]
) -> None:
    problem = refused(works.call("pipelines.submit", submission(works, nodes)), "invalid_pipeline", *words)
    assert problem.errors


def test_what_is_not_in_the_schema_is_refused(works: Works) -> None:
    whole = msgspec.to_builtins(submission(works, {"a": {"notebook": NOTEBOOK}}))
    whole["pipeline"]["nodes"]["a"]["command"] = "rm"
    answer = works.call("pipelines.submit", msgspec.json.encode(whole))
    refused(answer, "invalid_request", "command")


def test_a_viewer_a_stranger_and_another_project_get_nothing(works: Works) -> None:
    wish = submission(works, {"a": {"notebook": NOTEBOOK}})
    refused(works.call("pipelines.submit", wish, user=VIEWER), "forbidden", "run:submit")
    refused(works.call("pipelines.submit", wish, user=STRANGER), "not_found")
    refused(works.call("pipelines.submit", wish, project=FOREIGN), "not_found")
    for operation, body in (
        ("pipelines.read", b""),
        ("pipelines.cancel", CancelPipeline()),
        ("pipelines.repair", b""),
    ):
        refused(works.call(operation, body, pipeline="01980000-0000-7000-8000-00000000000a"), "not_found")
