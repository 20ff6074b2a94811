# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline over real processes: artifacts travel by digest, a repair reuses what was good, a killed control plane
finds its way back to where it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus.locking import platform_tag
from animus.pipeline_submission import PipelineWish
from animus_contracts.audit import AuditRecord
from animus_contracts.decoding import decode_json
from animus_contracts.pipeline_runs import NodeRun, NodeState, PipelineState
from animus_contracts.policies import PolicyState, PutPolicy
from animus_contracts.runs import RunState
from tests.fakes.git_repository import GitRepository
from tests.faults.plant import CONTROL, Plant, a_plant

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
PATIENCE_SECONDS = 240
FREEZE = '@id("f")@reason("frozen") forbid (principal, action == Action::"run:submit", resource);'
PIPELINE = """\
name: wine
environment: plain
parameters: {rows: 3}
max_parallel: 2
nodes:
  prepare:
    notebook: prepare.ipynb
    parameters: {rows: "${parameters.rows}"}
    outputs: [clean.csv]
  train:
    notebook: train.ipynb
    inputs: {data: {from: prepare, artifact: clean.csv}}
    sweep: {grid: {depth: [1, 3, 2]}}
    outputs: [model.txt]
  evaluate:
    notebook: evaluate.ipynb
    inputs: {model: {from: train, artifact: model.txt, best: {metric: accuracy}}}
    when: {node: prepare, metric: rows, at_least: 2}
    outputs: [score.txt]
"""
PREPARE = """\
import time
import animus
time.sleep(1)
(animus.outputs / "clean.csv").write_text("\\n".join(map(str, range(rows))))
animus.log_metric("rows", rows)
"""
TRAIN = """\
import time
import animus
time.sleep(1)
lines = animus.inputs["data"].read_text().splitlines()
(animus.outputs / "model.txt").write_text(f"{depth} {len(lines)}")
animus.log_metric("accuracy", depth / 10)
"""
EVALUATE = """\
import animus
(animus.outputs / "score.txt").write_text("best " + animus.inputs["model"].read_text())
"""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def notebook(parameters: str, code: str) -> str:
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    return nbformat.writes(new_notebook(cells=[first, new_code_cell(code)]))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with a_plant(tmp_path, lease_seconds=3) as running:
        with running.client() as admin:
            admin.projects.create("flows")
        with running.client("flows") as client:
            environment = client.environments.define("plain", python="3.11", requirements=[])
            client.environments.lock(environment, LOCK_FILE.read_text(), platform=platform_tag())
        yield running


@pytest.fixture
def wish(plant: Plant) -> PipelineWish:
    repository = GitRepository(plant.repositories / "flows")
    repository.commit(
        {
            "pipeline.yaml": PIPELINE,
            "prepare.ipynb": notebook("rows: int = 1", PREPARE),
            "train.ipynb": notebook("depth: int = 1", TRAIN),
            "evaluate.ipynb": notebook("", EVALUATE),
        }
    )
    return PipelineWish(file=repository.folder / "pipeline.yaml")


def nodes(client: Client, pipeline: str) -> dict[str, NodeRun]:
    return {f"{row.node}{row.item or ''}": row for row in client.pipelines.nodes(pipeline)}


def ended(client: Client, pipeline: str, *, within: float = PATIENCE_SECONDS) -> PipelineState:
    deadline = time.monotonic() + within
    while (run := client.pipelines.read(pipeline)).finished_at is None:
        assert time.monotonic() < deadline, f"{run.state}: {run.counts}"
        time.sleep(0.2)
    return run.state


def content(client: Client, run_id: str | None, name: str, folder: Path) -> str:
    target = folder / f"{run_id}-{name}"
    return client.artifacts.download(client.artifacts.named(run_id or "", name), target).read_text()


def test_artifacts_travel_by_digest_and_a_repair_reuses_what_was_good(
    plant: Plant, wish: PipelineWish, tmp_path: Path
) -> None:
    with plant.client("flows") as client:
        run, notes = client.submit_pipeline(wish)
        assert notes == []
        seen = [change.pipeline_run.version for change in client.pipelines.changes(run.pipeline_run_id)]
        assert seen == sorted(set(seen))
        assert client.pipelines.read(run.pipeline_run_id).state is PipelineState.SUCCEEDED, client.pipelines.read(
            run.pipeline_run_id
        )
        done = nodes(client, run.pipeline_run_id)
        assert content(client, done["evaluate"].run_id, "score.txt", tmp_path) == "best 3 3"
        (bound,) = client.runs.read(done["evaluate"].run_id or "").artifacts
        assert bound.run_id == done["train1"].run_id
        assert bound.digest == client.artifacts.named(done["train1"].run_id or "", "model.txt").digest

        second, _ = client.submit_pipeline(wish)
        put = {"name": "freeze", "cedar": FREEZE}
        client.transport.call("policies.put", {"project": "flows"}, PutPolicy(**put))
        assert ended(client, second.pipeline_run_id) is PipelineState.FAILED
        assert Counter(row.state for row in client.pipelines.nodes(second.pipeline_run_id)) == {
            NodeState.SUCCEEDED: 1, NodeState.FAILED: 3, NodeState.SKIPPED: 1,
        }  # fmt: skip
        client.transport.call("policies.put", {"project": "flows"}, PutPolicy(**put, state=PolicyState.DISABLED))
        repair = client.pipelines.repair(second.pipeline_run_id)
        assert ended(client, repair.pipeline_run_id) is PipelineState.SUCCEEDED
        assert nodes(client, repair.pipeline_run_id)["prepare"].state is NodeState.REUSED


def test_a_control_plane_killed_in_the_middle_of_a_pipeline_loses_and_doubles_nothing(
    plant: Plant, wish: PipelineWish
) -> None:
    with plant.client("flows") as client:
        run, _ = client.submit_pipeline(wish)
        for _ in range(4):
            time.sleep(0.9)
            plant.kill(CONTROL)
            plant.start(CONTROL)
            plant.wait_ready()
        assert ended(client, run.pipeline_run_id) is PipelineState.SUCCEEDED, client.pipelines.read(run.pipeline_run_id)
        rows = list(client.pipelines.nodes(run.pipeline_run_id))
        runs = list(client.runs.list())
        assert {row.run_id for row in rows} == {each.run_id for each in runs}
        assert Counter(each.state for each in runs) == {RunState.SUCCEEDED: len(rows)}
        client.audit.verify()
        events = list(client.audit.list())
        told = Counter(
            (record.action.value, record.details.get("node"), record.details.get("item"))
            for record in (decode_json(event.record, AuditRecord) for event in events)
            if record.action.startswith("pipeline.")
        )
        assert set(told.values()) == {1}
        assert sum(action == "pipeline.node_ended" for action, _, _ in told) == len(rows)
