# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""In what two runs differ before anything was produced: pure, so that every process says the same.

What differs by nature (ids, times, states, the peak of memory) is not told, nor what decides only when a run starts.
An input counts by its content, whether it is a dataset version or an artifact. A field that is missing on one side is a
difference; a provenance that is missing (a run that never ended) is not compared at all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from animus_contracts.comparisons import InputDifference, RunFacts
from animus_contracts.digests import typed
from animus_contracts.executions import Provenance
from animus_contracts.runs import Run

MAX_SHOWN = 200
TOLD_ELSEWHERE = frozenset({"redactions", "plan_digest", "spec_hash", "environment_hash", "seed"})
"""Members of a provenance's ``extra`` that differ by nature or are told from the run itself."""


def input_differences(left: RunFacts, right: RunFacts) -> list[InputDifference]:
    """Return every field in which two runs were made from different things, in a stable order.

    Values are equal only when their types are: ``1`` and ``1.0`` are different parameters.
    """
    pairs = [(_of_run(left.run), _of_run(right.run))]
    if left.provenance and right.provenance:
        pairs.append((_of_provenance(left.provenance), _of_provenance(right.provenance)))
    return [
        InputDifference(field=field, left=_shown(ours, field), right=_shown(theirs, field))
        for ours, theirs in pairs
        for field in dict.fromkeys([*ours, *theirs])
        if _exact(ours, field) != _exact(theirs, field)
    ]


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "run_class": run.run_class.value,
        **_under("code", msgspec.to_builtins(run.code)),
        **_under("datasets", _inputs(run)),
        **_under("parameters", run.parameters),
        "seed": run.seed,
        "environment.hash": run.env_hash,
        "policy.snapshot": run.policy_snapshot_digest,
        "outputs": sorted(run.outputs),
        **_under("resources", msgspec.to_builtins(run.resources)),
    }


def _inputs(run: Run) -> dict[str, Any]:
    artifacts = {binding.name: binding.content_digest for binding in run.artifacts}
    return {binding.name: binding.content_digest for binding in run.datasets} | artifacts


def _of_provenance(provenance: Provenance) -> dict[str, Any]:
    extra = {name: value for name, value in provenance.extra.items() if name not in TOLD_ELSEWHERE}
    return {
        "code.notebook": provenance.notebook_digest,
        **_under("environment.packages", provenance.packages),
        "provenance.python": provenance.python,
        "provenance.implementation": provenance.implementation,
        "provenance.platform": provenance.platform,
        **_under("provenance.variables", provenance.environment),
        "provenance.limitations": sorted(provenance.limitations),
        "provenance.images": sorted(provenance.images),
        **_under("provenance", extra),
    }


def _under(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": values[name] for name in sorted(values)}


def _exact(values: dict[str, Any], field: str) -> Any:
    return typed(values[field]) if field in values else None


def _shown(values: dict[str, Any], field: str) -> str | None:
    if field not in values:
        return None
    text = msgspec.json.encode(values[field]).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
