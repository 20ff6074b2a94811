# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""From what a user wants to run to the message that says exactly that: commit, schema, values, versions, lock.

A run executes a commit. What differs from it is committed, published as a snapshot (and recorded as a limitation), or
refused, but never silently left out; what Git does not know at all is told. The parameters' schema is read at the
commit, from the same bytes the run will execute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from animus import git, notebooks
from animus.errors import UsageError
from animus_contracts.environments import EnvironmentLock, Resources
from animus_contracts.identifiers import DatasetVersionId
from animus_contracts.parameter_cells import ParameterCellError, read_parameters
from animus_contracts.parameters import Parameter
from animus_contracts.runs import CodeRef, Limitation, RunClass, SubmitRun

if TYPE_CHECKING:
    from animus.client import Client

MANY = 3
RESOURCES = Resources.__struct_fields__
"""Names of what ``Wish.resources`` may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user wants to run.

    Attributes:
        notebook: Path of the notebook on this machine.
        parameters: Values by name.
        assignments: Values as typed on a command line, ``name=text``.
        datasets: Versions (``wine@3``, ``wine``) by the name the notebook uses.
        environment: Name of the environment; the only one when empty.
        run_class: Development or production.
        outputs: Files the run must produce.
        resources: Changes to the environment's limits, by name; the limits themselves when empty.
        seed: Seed.
        labels: Annotations.
        commit: Commit the notebook with this message and push it first.
        push: Push the branch first when its commit is not at the remote.
        priority: Place in the project's queue, from -100 to 100.
        queue_seconds: How long it may wait for an executor; for ever when None.
        cell_seconds: How long one cell may take; as long as the run when None.
        retries: How often it is retried after a failure of the infrastructure.
        executor_labels: Labels an executor must have to be given the run.
        snapshot: Publish the working tree as it is even for a production run (which its policies may refuse).
    """

    notebook: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    assignments: Sequence[str] = ()
    datasets: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    run_class: RunClass = RunClass.DEVELOPMENT
    outputs: Sequence[str] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    push: bool = False
    snapshot: bool = False
    priority: int = 0
    queue_seconds: float | None = None
    cell_seconds: float | None = None
    retries: int = 0
    executor_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The commit that will run, what it cannot prove, and what the user should know about it."""

    ref: CodeRef
    schema: list[Parameter]
    limitations: list[Limitation]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Where what is submitted stands, which commit of it runs, what that cannot prove, and what to tell the user."""

    place: git.Worktree
    commit: str
    limitations: list[Limitation]
    notes: list[str]


def prepare(client: Client, wish: Wish) -> tuple[SubmitRun, list[str]]:
    """Build the submission, committing, pushing or snapshotting as wished.

    Returns:
        The message, and notes for the user.

    Raises:
        AnimusError: If the wish cannot be fulfilled as it is; nothing was submitted then.
    """
    code = code_of(wish)
    values = dict(wish.parameters) | notebooks.typed_values(code.schema, wish.assignments)
    notebooks.check(code.schema, values)
    lock = client.environments.choose(wish.environment)
    versions = {name: client.datasets.version(reference) for name, reference in wish.datasets.items()}
    submission = SubmitRun(
        code=code.ref,
        environment_lock_id=lock.lock_id,
        datasets={name: DatasetVersionId(version.version_id) for name, version in versions.items()},
        parameters=values,
        parameters_schema=code.schema,
        outputs=list(wish.outputs),
        resources=_resources(lock, wish.resources),
        run_class=wish.run_class,
        seed=wish.seed,
        limitations=code.limitations,
        labels=dict(wish.labels),
        priority=wish.priority,
        queue_seconds=None if wish.queue_seconds is None else round(wish.queue_seconds),
        cell_seconds=wish.cell_seconds,
        retries=wish.retries,
        executor_labels=dict(wish.executor_labels),
    )
    return submission, code.notes


def code_of(wish: Wish) -> Code:
    """Settle which commit runs, and read the notebook's declaration there."""
    settled = settle(
        wish.notebook, run_class=wish.run_class, commit=wish.commit, push=wish.push, snapshot=wish.snapshot
    )
    place = settled.place
    return Code(
        ref=CodeRef(repository=place.repository, commit=settled.commit, path=place.path),
        schema=code_schema(git.read_at(place, settled.commit)),
        limitations=settled.limitations,
        notes=settled.notes,
    )


def settle(file: Path, *, run_class: RunClass, commit: str, push: bool, snapshot: bool) -> Settled:
    """Settle which commit runs, committing, pushing or snapshotting as wished.

    Args:
        file: What is submitted.
        run_class: A production run takes no snapshot unless it is asked for.
        commit: Commit the file with this message and push it first.
        push: Push the branch first when its commit is not at the remote.
        snapshot: Publish the working tree as it is, even for a production run.
    """
    place = git.look(file)
    if commit and place.changed:
        git.commit(place, commit)
        place = git.look(file)
    is_dirty = bool(place.changed)
    if is_dirty and run_class is RunClass.PRODUCTION and not snapshot:
        remedy = f'commit it first: add --commit "what changed"{_others(place)}'
        raise UsageError("dirty_worktree", f"{_named(place.changed)} differs from the commit", remedy=remedy)
    if not is_dirty:
        _publish(place, may_push=push or bool(commit))
    notes = [f"{_named(place.changed)} differs from the commit; this run uses a snapshot"] if is_dirty else []
    if place.untracked:
        notes.append(f"not in Git, so not in the run: {_named(place.untracked)}")
    return Settled(
        place=place,
        commit=git.snapshot(place) if is_dirty else place.head,
        limitations=[Limitation.DIRTY_WORKTREE] if is_dirty else [],
        notes=notes,
    )


def _publish(place: git.Worktree, *, may_push: bool) -> None:
    if place.published:
        return
    if not may_push:
        message = f"commit {place.head[:12]} is not at the remote {place.remote!r}, where the run would fetch it"
        raise UsageError("commit_not_pushed", message, remedy="add --push, or push it yourself: git push")
    git.push(place)


def code_schema(content: bytes) -> list[Parameter]:
    """Read what a notebook declares.

    Raises:
        UsageError: If its parameters cell cannot be read.
    """
    try:
        return read_parameters(notebooks.decode(content))
    except ParameterCellError as error:
        raise UsageError("bad_parameters_cell", str(error), remedy="give literal defaults only") from error


def _resources(lock: EnvironmentLock, changes: Mapping[str, float]) -> Resources | None:
    return msgspec.structs.replace(lock.limits, **changes) if changes else None


def _others(place: git.Worktree) -> str:
    return "" if place.changed == (place.path,) else " (and commit the other files with git)"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" if len(names) > MANY else "")
