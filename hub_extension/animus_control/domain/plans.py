# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A plan repeats what a run is bound to and adds only what the data plane needs to fetch it."""

from __future__ import annotations

from collections.abc import Mapping

from animus_contracts.datasets import DatasetVersion
from animus_contracts.environments import EnvironmentLock
from animus_contracts.identifiers import DatasetVersionId
from animus_contracts.plans import Plan, PlannedEnvironment, PlannedInput
from animus_contracts.runs import Run


def build_plan(run: Run, lock: EnvironmentLock, versions: Mapping[DatasetVersionId, DatasetVersion]) -> Plan:
    """Build the plan of a run.

    Args:
        run: The run; its ``plan_digest`` is not looked at.
        lock: The environment lock it is bound to.
        versions: The dataset versions it is bound to, by id.
    """
    return Plan(
        run_id=run.run_id,
        project_id=run.project_id,
        run_class=run.run_class,
        code=run.code,
        environment=PlannedEnvironment(
            lock_id=lock.lock_id,
            env_hash=lock.env_hash,
            python=lock.python,
            platform=lock.platform,
            requirements=lock.requirements,
            images=lock.images,
        ),
        inputs=[
            PlannedInput(
                name=binding.name,
                version_id=binding.version_id,
                content_digest=binding.content_digest,
                files=versions[binding.version_id].files,
            )
            for binding in run.datasets
        ],
        parameters=run.parameters,
        parameters_schema_digest=run.parameters_schema_digest,
        outputs=run.outputs,
        resources=run.resources,
        seed=run.seed,
        spec_hash=run.spec_hash,
    )
