# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two runs compared: what went in differently, what came out differently, and why it probably did.

A verdict is worst-of: one cell or artifact that differs makes the whole ``different``. Inputs are compared wherever the
two runs are known (:mod:`animus_contracts.input_differences`); outputs only where their bytes are, in the data plane.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.digests import Digest
from animus_contracts.executions import Provenance
from animus_contracts.identifiers import ComparisonId, ProjectId, RunId
from animus_contracts.runs import Run

NORMALISATION = "animus.normalisation.v1"
"""What is left out before outputs are compared; published, and changed only under a new name."""


class Match(StrEnum):
    """How alike two things are. Values leave the process and never change.

    ``incomparable`` says that the bytes differ and nobody can say how much: too large, damaged, or gone.
    """

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    INCOMPARABLE = "incomparable"
    DIFFERENT = "different"


class Tolerances(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far two numbers may be apart and still count as equivalent.

    They may when ``|a - b| <= max(relative * max(|a|, |b|), absolute)``, as in ``math.isclose``. The absolute tolerance
    is 0 unless somebody who knows the unit says otherwise: a difference of 1e-12 is nothing in euros and all in metres
    of a wavelength.
    """

    relative: float = 1e-9
    absolute: float = 0.0


class CauseKind(StrEnum):
    """Why outputs differ. The first ones are differences of what went in, the rest is found in code and outputs."""

    CODE = "code"
    ENVIRONMENT = "environment"
    DATA = "data"
    PARAMETERS = "parameters"
    POLICY = "policy"
    SEED = "seed"
    UNSEEDED_RANDOMNESS = "unseeded_randomness"
    HARDWARE = "hardware"
    CLOCK = "clock"
    THREADS = "threads"
    UNORDERED_ITERATION = "unordered_iteration"
    MEMORY_ADDRESS = "memory_address"
    PROCESS_IDENTITY = "process_identity"
    EXTERNAL_STATE = "external_state"
    TIMING_OUTPUT = "timing_output"
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """``likely``: the difference itself looks like it. ``possible``: the cause is there, but nothing points to it."""

    LIKELY = "likely"
    POSSIBLE = "possible"


class Cause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reason for a difference, with its evidence.

    Attributes:
        kind: The reason.
        confidence: How strongly the outputs point to it.
        evidence: What was seen: the name or line of code, or the field of the inputs that differs.
        cell_index: Position of the cell in the notebook at the commit, from 0; None for a difference of inputs.
        line: Line in that cell, from 1.
    """

    kind: CauseKind
    confidence: Confidence
    evidence: str
    cell_index: int | None = None
    line: int | None = None


class InputDifference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One field in which what two runs were made from differs.

    ``field`` is a path such as ``code.commit``, ``datasets.train``, ``parameters.depth``,
    ``environment.packages.numpy`` or ``provenance.platform``. Values are shown as JSON; None: it is not there.
    """

    field: str
    left: str | None
    right: str | None


class ArtifactComparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One artifact, by name. A digest is None where that run has no artifact of the name.

    The largest differences are over all numbers of a table or array that was compared as such, else None.
    """

    name: str
    kind: ArtifactKind
    match: Match
    left_digest: Digest | None
    right_digest: Digest | None
    detail: str = ""
    largest_relative_difference: float | None = None
    largest_absolute_difference: float | None = None


class CellComparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cell whose outputs are not identical.

    Attributes:
        cell_index: Position in the left notebook at its commit, from 0 (in the right one for a cell only there); None
            for the cell of injected parameters.
        cell_id: nbformat id of that cell.
        match: How alike the outputs are.
        detail: What differs first, in one line.
        diff: nbdime's diff of the two cells after normalisation, cut when it is long.
    """

    cell_index: int | None
    cell_id: str
    match: Match
    detail: str = ""
    diff: str = ""
    largest_relative_difference: float | None = None
    largest_absolute_difference: float | None = None


class OutputComparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="output_comparison"):
    """How alike what two runs produced is.

    Attributes:
        verdict: The worst match of any artifact or cell.
        artifacts: Every artifact either run has, by name.
        cells: The cells that are not identical, in order; the first few when there are many.
        cells_compared: How many cells with code there are, over both notebooks.
        cells_identical: How many of them have identical outputs.
        cells_equivalent: How many have outputs within the tolerances.
        first_differing_cell: Position of the first cell that is different or incomparable, from 0.
        causes: Why, the most likely first; empty exactly when the verdict is identical.
        tolerances: What counted as equivalent.
        normalisation: Name of what was left out, see :data:`NORMALISATION`.
        notes: What the comparison could not do, or did with a reservation.
    """

    verdict: Match
    artifacts: list[ArtifactComparison]
    cells: list[CellComparison]
    cells_compared: int
    cells_identical: int
    cells_equivalent: int
    first_differing_cell: int | None
    causes: list[Cause]
    tolerances: Tolerances
    normalisation: str = NORMALISATION
    notes: list[str] = []


class RunFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of a run without opening anything it produced."""

    run: Run
    provenance: Provenance | None = None


class ComparedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An artifact on this machine; ``path`` is None when its bytes are gone."""

    entry: ArtifactEntry
    path: str | None


class ComparedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One side of a comparison. The executed notebook is the artifact of kind ``notebook``."""

    facts: RunFacts
    artifacts: list[ComparedFile]


class ComparisonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an executor asks its comparison process; it stays inside the data plane."""

    left: ComparedRun
    right: ComparedRun
    tolerances: Tolerances = Tolerances()


class CompareRuns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="compare_runs"):
    """The task of comparing what two runs produced."""

    comparison_id: ComparisonId


class CreateComparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Compare two runs of the project that have ended."""

    left: RunId
    right: RunId
    tolerances: Tolerances = Tolerances()


class MetricComparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The last value of a metric on each side; None where it was never logged."""

    name: str
    left: float | None
    right: float | None


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a part of a run took on each side, in seconds; None where it never happened."""

    name: str
    left_seconds: float | None
    right_seconds: float | None


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two runs compared.

    Attributes:
        left_run_id: The earlier run, for a replay the one that was replayed.
        right_run_id: The other one; of a replay that was retried the newest attempt.
        verifies: The replay whose verdict it is; None for one that was asked for.
        inputs: What they were made from differently; empty until both have ended.
        metrics: What they measured, by name.
        timings: How long they took.
        outputs: The verdict, when answered.
        failure: Why there is none, when failed.
    """

    comparison_id: ComparisonId
    project_id: ProjectId
    tolerances: Tolerances
    created_at: datetime
    created_by: str
    verifies: RunId | None = None
    left_run_id: RunId
    right_run_id: RunId
    state: AnswerState = AnswerState.PENDING
    inputs: list[InputDifference] = []
    metrics: list[MetricComparison] = []
    timings: list[Timing] = []
    outputs: OutputComparison | None = None
    failure: str = ""
    ended_at: datetime | None = None


class ReplayRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Execute the stored plan of a run once more; when ``verify``, compare what comes out with what came out then."""

    verify: bool = True
    tolerances: Tolerances = Tolerances()
