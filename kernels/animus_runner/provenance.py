# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What an attempt actually ran with, as it was measured here; nothing the notebook says about itself."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path
from typing import Any

import msgspec

from animus_contracts.assignments import Assignment
from animus_contracts.digests import Digest
from animus_contracts.executions import Provenance
from animus_contracts.runs import Limitation
from animus_runner.git_objects import Checkout
from animus_runner.notebook_assignment import Outcome
from animus_runner.recording import Recording


def build_provenance(
    assignment: Assignment,
    checkout: Checkout,
    notebook: Digest,
    outcome: Outcome,
    recording: Recording,
) -> Provenance:
    """Put together what an attempt ran with.

    Args:
        assignment: What was to be executed.
        checkout: The code that was written out.
        notebook: Digest of the notebook's bytes at the commit.
        outcome: What the execution of the notebook measured.
        recording: What was seen of the run.
    """
    plan, facts = assignment.plan, outcome.facts
    extra: dict[str, Any] = {
        "seed": plan.seed,
        "seeds": recording.seeds,
        "cpu_model": CPU_MODEL,
        "cpu_count": os.cpu_count(),
        "redactions": recording.redactor.count,
        "environment_hash": plan.environment.env_hash,
        "plan_digest": assignment.plan_digest,
        "spec_hash": plan.spec_hash,
    }
    left_out = {"submodules": checkout.submodules, "links": checkout.links}
    return Provenance(
        tree=checkout.tree,
        notebook_digest=notebook,
        python=facts.python if facts else "",
        implementation=facts.implementation if facts else "",
        platform=PLATFORM,
        packages=facts.packages if facts else {},
        environment=outcome.environment,
        limitations=[*outcome.limitations, *([Limitation.EVENTS_MISSING] if recording.is_incomplete else [])],
        peak_memory_mib=outcome.peak_memory_mib,
        extra=extra | {name: paths for name, paths in left_out.items() if paths},
    )


def cpu_model(facts: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the processor calls itself; its architecture when it has no name."""
    names = {"model name", "Model", "cpu model"}
    with contextlib.suppress(OSError):
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in names:
                return value.strip()
    return platform.machine()


def document(assignment: Assignment, provenance: Provenance) -> bytes:
    """Return the provenance as the artifact that goes with the run's outputs: with the plan, readable."""
    content = {"plan": assignment.plan, "provenance": provenance}
    return msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=2) + b"\n"


PLATFORM, CPU_MODEL = platform.platform(), cpu_model()
"""Asked once, before any run is forked: Python starts a program to learn the first."""
