# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pipelines: check a file, run it, look at it, stop it, repair it, draw it."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice
from pathlib import Path

from animus import pipeline_files, pipeline_pictures
from animus.client import Client
from animus.errors import RefusedError, UsageError
from animus.pipeline_files import PipelineCheck
from animus.pipeline_submission import PipelineWish, notebook_faults, parameters_of, surroundings
from animus.pipeline_tables import PipelineStory
from animus.verbs import Desk, Done, FollowingPipeline, Writing
from animus.verbs.runs import pair
from animus_contracts.pipeline_plans import build_pipeline_plan, plan_hash
from animus_contracts.pipeline_runs import PipelineGraph, PipelineRun, PipelineState
from animus_contracts.runs import RunClass

SUFFIXES = (".yaml", ".yml")


def check(desk: Desk, given: Namespace) -> PipelineCheck:
    """Say everything that is wrong with a pipeline file, as it lies here."""
    wish = PipelineWish(file=given.file, assignments=given.parameter)
    file = pipeline_files.decode(pipeline_files.read_bytes(given.file), given.file.name)
    values = parameters_of(file.pipeline, wish)
    known = surroundings(desk.client(), file.pipeline) if file.pipeline and not given.offline else None
    faults = file.check(values, known)
    if not faults and file.pipeline:
        faults = [file.placed(fault) for fault in notebook_faults(given.file, file.pipeline, values)]
    if faults or file.pipeline is None:
        return PipelineCheck(file=file.name, faults=faults)
    plan = build_pipeline_plan(file.pipeline, values)
    runs = sum(len(node.items) for node in plan.nodes)
    return PipelineCheck(file=file.name, faults=[], nodes=len(plan.nodes), runs=runs, plan_hash=plan_hash(plan))


def run(desk: Desk, given: Namespace) -> FollowingPipeline:
    """Submit a pipeline file."""
    client = desk.client()
    wish = PipelineWish(
        file=given.file,
        assignments=given.parameter,
        run_class=RunClass(given.run_class),
        labels=dict(pair(text) for text in given.label),
        priority=given.priority,
        commit=given.commit,
        push=given.push,
        snapshot=given.snapshot,
    )
    submitted, notes = client.submit_pipeline(wish)
    return FollowingPipeline(client=client, run=submitted, notes=notes, wait=given.watch)


def show_all(desk: Desk, given: Namespace) -> list[PipelineRun]:
    """List pipeline runs, newest first."""
    state = PipelineState(given.state) if given.state else None
    runs = desk.client().pipelines.list(name=given.name or None, state=state)
    return list(islice(runs, given.limit))


def show(desk: Desk, given: Namespace) -> PipelineStory:
    """Show a pipeline run with its nodes and the results of its sweeps."""
    client = desk.client()
    chosen = _chosen(client, given.pipeline)
    return PipelineStory(run=chosen, nodes=list(client.pipelines.nodes(chosen.pipeline_run_id)))


def watch(desk: Desk, given: Namespace) -> FollowingPipeline:
    """Follow a pipeline run, the newest one when none is named."""
    client = desk.client()
    return FollowingPipeline(client=client, run=_chosen(client, given.pipeline), wait=True)


def cancel(desk: Desk, given: Namespace) -> PipelineRun:
    """Stop a pipeline run with everything in it."""
    return desk.client().pipelines.cancel(given.pipeline, reason=given.reason)


def repair(desk: Desk, given: Namespace) -> FollowingPipeline:
    """Run what failed or was skipped again, and reuse the rest."""
    client = desk.client()
    return FollowingPipeline(client=client, run=client.pipelines.repair(given.pipeline), wait=given.watch)


def graph(desk: Desk, given: Namespace) -> Writing | Done:
    """Draw a pipeline run, or a pipeline file."""
    picture = {"svg": pipeline_pictures.svg, "mermaid": pipeline_pictures.mermaid}[given.format]
    text = picture(_graph(desk, given.pipeline))
    if given.to is None:
        return Writing(text=iter([text]))
    given.to.write_text(text, encoding="utf-8")
    return Done(message=f"wrote {given.to}")


def _graph(desk: Desk, wanted: str) -> PipelineGraph:
    if not wanted.endswith(SUFFIXES):
        client = desk.client()
        return client.pipelines.graph(_chosen(client, wanted).pipeline_run_id)
    path = Path(wanted)
    pipeline = pipeline_files.decode(pipeline_files.read_bytes(path), path.name).sound({})
    return pipeline_pictures.graph_of(build_pipeline_plan(pipeline, {}))


def _chosen(client: Client, name: str) -> PipelineRun:
    if name.endswith(SUFFIXES):
        raise UsageError("usage", f"{name!r} is a file, not a pipeline run", remedy="animus pipeline list")
    if name:
        return client.pipelines.read(name)
    for newest in client.pipelines.list():
        return newest
    message = f"project {client.project} has no pipeline run yet"
    raise RefusedError("not_found", message, remedy="animus pipeline run pipeline.yaml")
