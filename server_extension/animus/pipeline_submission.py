# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""From a pipeline file to the message that says exactly what will run: the file and every notebook at one commit.

The rules about commits, snapshots and what Git does not know are those of single runs.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animus import git, notebooks, pipeline_files
from animus.errors import UsageError
from animus.submission import code_schema, settle
from animus_contracts.environments import Resources
from animus_contracts.parameters import Parameter, ParameterType
from animus_contracts.pipeline_plans import build_pipeline_plan
from animus_contracts.pipeline_rules import Surroundings, schema_faults
from animus_contracts.pipeline_runs import SubmitPipeline
from animus_contracts.pipelines import Pipeline
from animus_contracts.problems import Fault
from animus_contracts.runs import CodeRef, RunClass

if TYPE_CHECKING:
    from animus.client import Client

TYPES = {bool: ParameterType.BOOLEAN, int: ParameterType.INTEGER, float: ParameterType.NUMBER,
         str: ParameterType.STRING, list: ParameterType.ARRAY, dict: ParameterType.OBJECT}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineWish:
    """What a user wants to run.

    Attributes:
        file: Path of the pipeline file on this machine.
        parameters: Values of the pipeline's parameters.
        assignments: Values as typed on a command line, ``name=text``.
        run_class: Development or production, for all nodes.
        labels: Annotations of all runs.
        priority: Place in the queue of all runs.
        commit: Commit the file with this message and push it first.
        push: Push the branch first when its commit is not at the remote.
        snapshot: Publish the working tree as it is even for a production run (which its policies may refuse).
    """

    file: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    assignments: Sequence[str] = ()
    run_class: RunClass = RunClass.DEVELOPMENT
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    commit: str = ""
    push: bool = False
    snapshot: bool = False


def prepare_pipeline(wish: PipelineWish) -> tuple[SubmitPipeline, list[str]]:
    """Build the submission, committing, pushing or snapshotting as wished.

    Returns:
        The message, and notes for the user.

    Raises:
        AnimusError: If the wish cannot be fulfilled as it is; nothing was submitted then.
    """
    local = pipeline_files.decode(pipeline_files.read_bytes(wish.file), wish.file.name)
    local.sound(parameters_of(local.pipeline, wish))  # before anything is committed or pushed
    settled = settle(wish.file, run_class=wish.run_class, commit=wish.commit, push=wish.push, snapshot=wish.snapshot)
    content = git.read_at(settled.place, settled.commit)
    file = pipeline_files.decode(content, wish.file.name)
    values = parameters_of(file.pipeline, wish)
    pipeline = file.sound(values)
    message = SubmitPipeline(
        pipeline=pipeline,
        code=CodeRef(repository=settled.place.repository, commit=settled.commit, path=settled.place.path),
        file_digest=file.digest,
        parameters=values,
        schemas=_schemas(settled.place, settled.commit, pipeline),
        run_class=wish.run_class,
        limitations=settled.limitations,
        labels=dict(wish.labels),
        priority=wish.priority,
    )
    return message, settled.notes


def parameters_of(pipeline: Pipeline | None, wish: PipelineWish) -> dict[str, Any]:
    """Return the values a user gives; a text becomes what the parameter's default is."""
    declared = pipeline.parameters if pipeline else {}
    schema = [Parameter(name=name, type=TYPES.get(type(value), ParameterType.ANY)) for name, value in declared.items()]
    known = {parameter.name: parameter for parameter in schema}
    values = dict(wish.parameters)
    for assignment in wish.assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError("bad_parameter", f"{assignment!r} is not NAME=VALUE", remedy="for example -p depth=4")
        values[name] = notebooks.typed_value(known[name], text) if name in known else text
    notebooks.check([parameter for parameter in schema if parameter.name in values], {
        name: value for name, value in values.items() if name in known
    })  # fmt: skip
    return values


def surroundings(client: Client, pipeline: Pipeline) -> Surroundings:
    """Return what the project has, as far as a pipeline refers to it."""
    environments: dict[str, Resources] = {}
    for lock in client.environments.locks():  # newest first
        environments.setdefault(lock.environment, lock.limits)
    wanted = {text.partition("@")[0] for node in pipeline.nodes.values() for text in node.datasets.values()}
    known = {dataset.name: dataset for dataset in client.datasets.list()}
    newest = {name: next(client.datasets.versions(known[name].dataset_id), None) for name in wanted & known.keys()}
    datasets = {name: version.ordinal if version else 0 for name, version in newest.items()}
    return Surroundings(environments=environments, datasets=dict.fromkeys(known, 0) | datasets)


def notebook_faults(file: Path, pipeline: Pipeline, parameters: Mapping[str, Any]) -> list[Fault]:
    """Check every node against its notebook as it lies beside the file: it is there, and declares what it is given."""
    faults: list[Fault] = []
    for node in build_pipeline_plan(pipeline, parameters).nodes:
        path = f"$.nodes.{node.name}"
        try:
            schema = code_schema((file.parent / node.notebook).read_bytes())
        except OSError as error:
            faults.append(Fault(path=f"{path}.notebook", code="no_such_file", message=str(error.strerror)))
            continue
        except UsageError as error:
            faults.append(Fault(path=f"{path}.notebook", code=error.code, message=error.detail))
            continue
        faults += schema_faults(node, schema)
    return faults


def _schemas(place: git.Worktree, commit: str, pipeline: Pipeline) -> dict[str, list[Parameter]]:
    folder = posixpath.dirname(place.path)
    found = {}
    for notebook in sorted({node.notebook for node in pipeline.nodes.values()}):
        path = posixpath.join(folder, notebook)
        found[notebook] = code_schema(git.read_at(replace(place, path=path), commit))
    return found
