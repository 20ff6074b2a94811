# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs: submit, follow, stop, explain, and fetch what came out."""

from __future__ import annotations

import time
from argparse import Namespace
from itertools import islice
from pathlib import Path

import msgspec

from animus import git, notebooks
from animus.client import Client
from animus.errors import RefusedError, UsageError
from animus.submission import RESOURCES, Wish, code_schema, prepare
from animus.verbs import Desk, Done, Following, Judged, Writing
from animus.waiting import ListedRun, StoppedRun, listed, stopped
from animus_contracts.artifacts import Artifact, Metric
from animus_contracts.explanations import Explanation
from animus_contracts.parameters import Parameter
from animus_contracts.queues import WaitingReason
from animus_contracts.runs import TERMINAL_STATES, Run, RunClass, RunState

CANCEL_POLLS, CANCEL_PAUSE = 50, 0.2
"""How often, and every how many seconds, a canceled run is looked at: an executor stops one within five seconds."""


class NotebookContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where a notebook stands, and what it declares at the commit that is checked out."""

    repository: str
    commit: str
    branch: str
    path: str
    published: bool
    changed: list[str]
    untracked: list[str]
    parameters: list[Parameter]


def run(desk: Desk, given: Namespace) -> Following | Judged:
    """Submit a notebook, or only check what would become of it."""
    client, wish = desk.client(), wish_of(given)
    if given.dry_run:
        return _checked(client, wish)
    submitted, notes = client.submit(wish)
    if wish.executor_labels and (told := client.runs.waiting(submitted.run_id)).reason is WaitingReason.NO_EXECUTOR:
        notes = [*notes, f"it waits: {told.detail}"]
    return Following(client=client, run=submitted, notes=notes, wait=given.watch)


def wish_of(given: Namespace) -> Wish:
    """Return what the arguments of ``animus run`` wish for."""
    return Wish(
        notebook=given.notebook or notebooks.current(),
        assignments=given.parameter,
        datasets=dict(_binding(text) for text in given.dataset),
        environment=given.env,
        run_class=RunClass(given.run_class),
        outputs=given.output,
        resources={name: value for name in RESOURCES if (value := getattr(given, name)) is not None},
        seed=given.seed,
        labels=dict(pair(text) for text in given.label),
        commit=given.commit,
        push=given.push,
        snapshot=given.snapshot,
        priority=given.priority,
        queue_seconds=given.queue_time,
        cell_seconds=given.cell_time,
        retries=given.retries,
        executor_labels=dict(pair(text) for text in given.needs),
    )


def _checked(client: Client, wish: Wish) -> Judged:
    submission, notes = prepare(client, wish)
    asked = client.preflights.create(submission)
    found = client.preflights.wait(asked.preflight_id)
    return Judged(value=found, exit_code=int(not found.ready), notes=notes)


def context(_desk: Desk, given: Namespace) -> NotebookContext:
    """Say what would be submitted: where the notebook stands and what it declares."""
    place = git.look(given.notebook or notebooks.current())
    return NotebookContext(
        repository=place.repository,
        commit=place.head,
        branch=place.branch,
        path=place.path,
        published=place.published,
        changed=list(place.changed),
        untracked=list(place.untracked),
        parameters=code_schema(given.notebook.read_bytes()),
    )


def show_all(desk: Desk, given: Namespace) -> list[ListedRun]:
    """List runs, newest first; of one that has not started, why it waits."""
    state = RunState(given.state) if given.state else None
    runs = desk.client().runs
    found = islice(runs.list(state=state, created_by=given.by or None), given.limit)
    return [listed(run, runs.waiting) for run in found]


def watch(desk: Desk, given: Namespace) -> Following:
    """Follow a run, the newest one when none is named."""
    client = desk.client()
    return Following(client=client, run=_chosen(client, given.run), wait=given.wait)


def logs(desk: Desk, given: Namespace) -> Writing:
    """Show what a run writes, until it has ended."""
    client = desk.client()
    return Writing(text=client.runs.log(_chosen(client, given.run).run_id))


def metrics(desk: Desk, given: Namespace) -> list[Metric]:
    """List a run's metrics."""
    client = desk.client()
    return list(client.metrics.list(_chosen(client, given.run).run_id))


def artifacts(desk: Desk, given: Namespace) -> list[Artifact]:
    """List a run's artifacts."""
    client = desk.client()
    return list(client.artifacts.list(_chosen(client, given.run).run_id))


def fetch(desk: Desk, given: Namespace) -> Done:
    """Fetch an artifact into a file and check its digest."""
    client = desk.client()
    artifact = client.artifacts.named(given.run, given.name)
    target = given.to or Path(Path(artifact.name).name)
    if target.is_dir():
        target /= Path(artifact.name).name
    if target.exists() and not given.force:
        raise UsageError("file_exists", f"{str(target)!r} exists", remedy="say --to PATH, or --force")
    client.artifacts.download(artifact, target)
    return Done(message=f"{target}  {artifact.digest}  {artifact.size_bytes} bytes")


def cancel(desk: Desk, given: Namespace) -> StoppedRun:
    """Stop a run, and say what became of it."""
    runs = desk.client().runs
    before = runs.read(given.run)
    run = runs.cancel(given.run, reason=given.reason)
    for _ in range(CANCEL_POLLS):
        if run.state in TERMINAL_STATES:
            break
        time.sleep(CANCEL_PAUSE)
        run = runs.read(given.run)
    return stopped(before, run)


def explain(desk: Desk, given: Namespace) -> Explanation:
    """Tell the complete story of a run."""
    client = desk.client()
    return client.runs.explain(_chosen(client, given.run).run_id)


def _chosen(client: Client, name: str) -> Run:
    if name:
        return client.runs.read(name)
    for newest in client.runs.list():
        return newest
    raise RefusedError("not_found", f"project {client.project} has no run yet", remedy="animus run NOTEBOOK")


def _binding(text: str) -> tuple[str, str]:
    """Read ``train=wine@3`` or ``wine@3``, whose name is then ``wine``."""
    name, equals, reference = text.partition("=")
    return (name, reference) if equals else (text.partition("@")[0], text)


def pair(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError("bad_label", f"{text!r} is not NAME=VALUE")
    return name, value
