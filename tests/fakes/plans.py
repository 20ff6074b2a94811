# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Plans, leases and assignments for tests: valid ones, of which a test changes what it is about."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from animus_contracts.assignments import Assignment
from animus_contracts.digests import Digest
from animus_contracts.environments import Resources, env_hash
from animus_contracts.executions import Lease
from animus_contracts.identifiers import ExecutionId, LockId, ProjectId, RunId
from animus_contracts.parameters import schema_digest
from animus_contracts.plans import Plan, PlannedEnvironment, plan_digest
from animus_contracts.runs import CodeRef, RunClass

REQUIREMENTS = f"ipykernel==7.1.0 --hash=sha256:{'0' * 64}\n"


def a_planned_environment(requirements: str = REQUIREMENTS, python: str = "3.11") -> PlannedEnvironment:
    """Build an environment whose digest is right."""
    return PlannedEnvironment(
        lock_id=LockId("lock"),
        env_hash=env_hash(python=python, platform="linux_x86_64", requirements=requirements, images=[]),
        python=python,
        platform="linux_x86_64",
        requirements=requirements,
        images=[],
    )


def a_plan(**changes: Any) -> Plan:
    """Build a plan of a run of its own."""
    fields: dict[str, Any] = {
        "run_id": RunId(f"00000000-0000-7000-8000-{secrets.token_hex(6)}"),
        "project_id": ProjectId("00000000-0000-7000-8000-000000000001"),
        "run_class": RunClass.DEVELOPMENT,
        "code": CodeRef(repository="https://git.example.org/team/x", commit="0" * 40, path="train.ipynb"),
        "environment": a_planned_environment(),
        "inputs": [],
        "parameters": {},
        "parameters_schema_digest": schema_digest([]),
        "outputs": [],
        "resources": Resources(),
        "seed": None,
        "spec_hash": Digest("sha256:" + "1" * 64),
    }
    return Plan(**(fields | changes))


def a_lease(plan: Plan | None = None, **changes: Any) -> Lease:
    """Build a lease of an attempt of its own."""
    plan = plan or a_plan()
    fields: dict[str, Any] = {
        "execution_id": ExecutionId(f"00000000-0000-7000-8000-{secrets.token_hex(6)}"),
        "run_id": plan.run_id,
        "project_id": plan.project_id,
        "attempt": 1,
        "epoch": 1,
        "lease_seconds": 30.0,
        "heartbeat_seconds": 5.0,
        "dispatch_token": f"ad_{secrets.token_urlsafe(24)}",
        "plan_digest": plan_digest(plan),
        "plan": plan,
    }
    return Lease(**(fields | changes))


def an_assignment(lease: Lease, run_folder: Path, **changes: Any) -> Assignment:
    """Build what the supervisor of an attempt is told."""
    values: dict[str, Any] = {
        "execution_id": lease.execution_id,
        "epoch": lease.epoch,
        "plan_digest": lease.plan_digest,
        "plan": lease.plan,
        "control_plane": "http://127.0.0.1:1",
        "run_token": "ar_canary-of-an-assignment",
        "run_token_seconds": 3600.0,
        "secret_digests": [],
        "repositories": [],
        "python": "/nowhere",
        "kernel_parent": "/nowhere",
        "environment_folder": "/nowhere/environment",
        "support_folder": "/nowhere",
        "run_folder": str(run_folder),
        "cache_folder": "/nowhere",
    }
    return Assignment(**values | changes)
