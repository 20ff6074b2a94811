# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be said of two runs without opening anything: what they measured, how long they took, what is in the way."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from animus_contracts.artifacts import Metric
from animus_contracts.comparisons import (
    Cause,
    CauseKind,
    Confidence,
    Match,
    MetricComparison,
    OutputComparison,
    Timing,
    Tolerances,
)
from animus_contracts.problems import Fault
from animus_contracts.runs import FailureReason, Run, RunState

OUTSIDE = frozenset(
    {FailureReason.INFRASTRUCTURE, FailureReason.ENVIRONMENT, FailureReason.INPUT, FailureReason.POLICY}
)
"""Failures that say nothing of the notebook, because none of its cells is to blame."""


def tolerance_faults(tolerances: Tolerances) -> list[Fault]:
    """Check that tolerances are numbers from 0; a relative one is below 1, or everything would be equivalent."""
    relative, absolute = tolerances.relative, tolerances.absolute
    faults = []
    if not 0 <= relative < 1:
        words = f"must be from 0 to below 1, not {relative}"
        faults.append(Fault(path="$.tolerances.relative", code="out_of_range", message=words))
    if not (absolute >= 0 and math.isfinite(absolute)):
        words = f"must be a finite number from 0, not {absolute}"
        faults.append(Fault(path="$.tolerances.absolute", code="out_of_range", message=words))
    return faults


def metrics_side_by_side(left: Iterable[Metric], right: Iterable[Metric]) -> list[MetricComparison]:
    """Return the last value of every metric that either side logged, by name."""
    ours, theirs = ({metric.name: metric.value for metric in side} for side in (left, right))
    return [
        MetricComparison(name=name, left=ours.get(name), right=theirs.get(name)) for name in sorted({*ours, *theirs})
    ]


def timings(left: Run, right: Run) -> list[Timing]:
    """Return how long the two runs waited and ran."""
    return [
        Timing(
            name=name,
            left_seconds=_seconds(getattr(left, begin), getattr(left, end)),
            right_seconds=_seconds(getattr(right, begin), getattr(right, end)),
        )
        for name, begin, end in (("waiting", "queued_at", "started_at"), ("running", "started_at", "finished_at"))
    ]


def obstacle(run: Run) -> str:
    """Say why nothing can be said of a run's outputs; empty when they are its notebook's own doing."""
    if run.state is RunState.CANCELED:
        return f"Run {run.run_id} was canceled."
    if run.failure is not None and run.failure.reason in OUTSIDE:
        return f"Run {run.run_id} failed ({run.failure.reason}): {run.failure.summary}"
    return ""


def incomparable(why: list[str], tolerances: Tolerances) -> OutputComparison:
    """Return the verdict on runs of which one did not get to its notebook's end by itself."""
    causes = [Cause(kind=CauseKind.UNKNOWN, confidence=Confidence.LIKELY, evidence=reason) for reason in why]
    return OutputComparison(
        verdict=Match.INCOMPARABLE,
        artifacts=[],
        cells=[],
        cells_compared=0,
        cells_identical=0,
        cells_equivalent=0,
        first_differing_cell=None,
        causes=causes,
        tolerances=tolerances,
        notes=why,
    )


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else (end - begin).total_seconds()
