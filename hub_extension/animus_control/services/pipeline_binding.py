# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Names in a pipeline are looked up once, when it is submitted; what a node's run gets does not change underway.

Everything that would be refused of a single run is refused of the whole, with the node it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from animus_contracts.datasets import Dataset, DatasetVersion
from animus_contracts.digests import DIGEST
from animus_contracts.environments import EnvironmentLock, Resources
from animus_contracts.identifiers import DatasetVersionId, PipelineRunId, ProjectId
from animus_contracts.parameters import schema_digest, secret_rule
from animus_contracts.paths import path_fault
from animus_contracts.pipeline_plans import PipelinePlan, PlannedNode, build_pipeline_plan
from animus_contracts.pipeline_rules import Surroundings, dataset_reference, pipeline_faults, schema_faults
from animus_contracts.pipeline_runs import BoundPipeline, NodeBinding, SubmitPipeline
from animus_contracts.problems import Fault
from animus_contracts.projects import Role
from animus_contracts.runs import CodeRef
from animus_control.domain.limits import Limits
from animus_control.domain.names import label_faults, refuse
from animus_control.domain.runs import RANGES, code_faults
from animus_control.services.calls import Call
from animus_control.services.pipeline_steps import notebook_path
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of, require

SUFFIXES = (".yaml", ".yml")


def bind_pipeline(
    uow: UnitOfWork, call: Call, message: SubmitPipeline, pipeline_run_id: PipelineRunId
) -> BoundPipeline:
    """Check a submission and bind everything in it.

    Raises:
        InvalidError: ``invalid_code_ref``, ``invalid_pipeline``, ``secret_in_parameters`` or ``parameter_invalid``,
            with every fault of its kind.
    """
    refuse(list(_place_faults(message, call.limits)), code="invalid_code_ref")
    names = _Names(uow, project_of(call).project_id, message)
    refuse(pipeline_faults(message.pipeline, message.parameters, names.surroundings()), code="invalid_pipeline")
    plan = build_pipeline_plan(message.pipeline, message.parameters)
    refuse(list(_submission_faults(message, plan, call.limits)), code="invalid_pipeline")
    remedy = "Parameters are stored and shown to every member of the project. Let the environment give the secret."
    refuse(list(_secrets(message, plan)), code="secret_in_parameters", remedy=remedy)
    wrong = [fault for node in plan.nodes for fault in schema_faults(node, message.schemas[node.notebook])]
    refuse(wrong, code="parameter_invalid")
    digests = {notebook: schema_digest(schema) for notebook, schema in message.schemas.items()}
    bindings = {
        node.name: NodeBinding(
            environment_lock_id=names.locks[node.environment].lock_id,
            parameters_schema_digest=digests[node.notebook],
            datasets={name: names.version(wanted) for name, wanted in node.datasets.items()},
            resources=_resources(node, names.locks[node.environment]),
        )
        for node in plan.nodes
    }
    return BoundPipeline(
        project_id=names.project_id,
        pipeline_run_id=pipeline_run_id,
        plan=plan,
        bindings=bindings,
        limitations=message.limitations,
        priority=message.priority,
        role=role_of(call),
    )


def role_of(call: Call) -> Role:
    """Return the role a call was authorised with."""
    return require(call.role, "role")


class _Names:
    """What the names in a pipeline stand for now, each looked up once."""

    def __init__(self, uow: UnitOfWork, project_id: ProjectId, message: SubmitPipeline) -> None:
        self.uow, self.project_id = uow, project_id
        pipeline = message.pipeline
        wanted = {node.environment or pipeline.environment for node in pipeline.nodes.values()}
        found = {name: uow.environment_locks.find(project_id, environment=name) for name in wanted if name}
        self.locks: dict[str, EnvironmentLock] = {name: lock for name, lock in found.items() if lock is not None}
        references = {text for node in pipeline.nodes.values() for text in node.datasets.values()}
        parsed = {reference[0] for text in references if (reference := dataset_reference(text))}
        sets = {name: uow.datasets.find(project_id, name=name) for name in parsed}
        self.datasets: dict[str, Dataset] = {name: item for name, item in sets.items() if item is not None}
        newest = {name: self._find(item) for name, item in self.datasets.items()}
        self.newest: dict[str, DatasetVersion] = {name: item for name, item in newest.items() if item is not None}
        self._versions: dict[str, DatasetVersionId] = {}

    def surroundings(self) -> Surroundings:
        """Return what the pipeline may refer to."""
        return Surroundings(
            environments={name: lock.limits for name, lock in self.locks.items()},
            datasets={name: version.ordinal for name, version in self.newest.items()},
        )

    def version(self, text: str) -> DatasetVersionId:
        """Return the version that a reference without faults names."""
        if text not in self._versions:
            name, _, ordinal = text.partition("@")
            found = self._find(self.datasets[name], ordinal=int(ordinal)) if ordinal else self.newest[name]
            self._versions[text] = require(found, "dataset version", "dataset_version_not_found").version_id
        return self._versions[text]

    def _find(self, dataset: Dataset, **fields: int) -> DatasetVersion | None:
        return self.uow.dataset_versions.find(self.project_id, dataset_id=dataset.dataset_id, **fields)


def _place_faults(message: SubmitPipeline, limits: Limits) -> Iterator[Fault]:
    # The rule about notebooks does not hold for the file itself.
    code = CodeRef(repository=message.code.repository, commit=message.code.commit, path="any.ipynb")
    yield from code_faults(code, limits)
    fault = path_fault(message.code.path)
    if fault is None and not message.code.path.endswith(SUFFIXES):
        fault = f"must name a pipeline file ({' or '.join(SUFFIXES)})"
    if fault:
        yield Fault(path="$.code.path", code="invalid_path", message=fault)
    if not DIGEST.fullmatch(message.file_digest):
        yield Fault(path="$.file_digest", code="invalid_digest", message="must be a sha256 digest")


def _submission_faults(message: SubmitPipeline, plan: PipelinePlan, limits: Limits) -> Iterator[Fault]:
    yield from label_faults(message.labels, limits)
    least, most = RANGES["priority"]
    if not least <= message.priority <= most:
        words = f"must be from {least} to {most}, not {message.priority}"
        yield Fault(path="$.priority", code="out_of_range", message=words)
    for node in plan.nodes:
        if node.notebook not in message.schemas:
            words = f"what {node.notebook[:80]!r} declares must be given"
            yield Fault(path="$.schemas", code="missing_schema", message=words)
        if fault := path_fault(notebook_path(message.code, node.notebook)):
            yield Fault(path=f"$.pipeline.nodes.{node.name}.notebook", code="invalid_path", message=fault)


def _secrets(message: SubmitPipeline, plan: PipelinePlan) -> Iterator[Fault]:
    places = {"$.parameters": [message.pipeline.parameters, message.parameters]}
    places |= {f"$.nodes.{node.name}.parameters": node.items for node in plan.nodes}
    for path, items in places.items():
        found = {name: rule for item in items for name, value in item.items() if (rule := secret_rule(name, value))}
        for name, rule in found.items():
            words = f"looks like a credential by the rule {rule!r}"
            yield Fault(path=f"{path}.{name[:80]}", code=rule, message=words)


def _resources(node: PlannedNode, lock: EnvironmentLock) -> Resources | None:
    if node.resources is None:
        return None
    asked = {name: value for name, value in msgspec.structs.asdict(node.resources).items() if value is not None}
    return msgspec.structs.replace(lock.limits, **asked)
