# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why outputs differ: what went in differently first, then what the code does that chance decides.

The difference itself is asked first (:mod:`appearance`): when only times differ, the clock is likely, whatever else the
code does. Code counts as evidence when its names reach the place that differs. What nobody can tell is ``unknown``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from animus_contracts.comparisons import Cause, CauseKind, Confidence, InputDifference
from animus_runner.comparison.appearance import Appearance
from animus_runner.comparison.code_scan import Step, Suspect

K = CauseKind
MAX_CAUSES = 10
MAX_EVIDENCE = 200
NOISE = 1e-6
"""A relative difference below it looks like additions in another order, not like other numbers."""

FIELDS: tuple[tuple[str, CauseKind, Confidence], ...] = (
    ("code.", K.CODE, Confidence.LIKELY),
    ("datasets.", K.DATA, Confidence.LIKELY),
    ("artifacts.", K.DATA, Confidence.LIKELY),
    ("parameters.", K.PARAMETERS, Confidence.LIKELY),
    ("seed", K.SEED, Confidence.LIKELY),
    ("provenance.seeds", K.SEED, Confidence.LIKELY),
    ("provenance.variables.ANIMUS_SEED", K.SEED, Confidence.LIKELY),
    ("provenance.variables.PYTHONHASHSEED", K.UNORDERED_ITERATION, Confidence.LIKELY),
    ("provenance.variables.", K.THREADS, Confidence.POSSIBLE),
    ("environment.", K.ENVIRONMENT, Confidence.LIKELY),
    ("provenance.python", K.ENVIRONMENT, Confidence.LIKELY),
    ("provenance.implementation", K.ENVIRONMENT, Confidence.LIKELY),
    ("provenance.images", K.ENVIRONMENT, Confidence.LIKELY),
    ("provenance.limitations", K.EXTERNAL_STATE, Confidence.POSSIBLE),
    ("provenance.", K.HARDWARE, Confidence.POSSIBLE),
    ("resources.cpus", K.THREADS, Confidence.POSSIBLE),
    ("resources.gpus", K.HARDWARE, Confidence.POSSIBLE),
    ("policy.", K.POLICY, Confidence.POSSIBLE),
)
"""Which cause a difference of inputs is, by the beginning of the field; the first that fits. Other fields are none."""

ARITHMETIC = frozenset({K.THREADS, K.HARDWARE})
"""Causes that change the order of additions."""

TRACES: dict[CauseKind, frozenset[CauseKind]] = {
    K.CLOCK: frozenset({K.CLOCK}),
    K.TIMING_OUTPUT: frozenset({K.TIMING_OUTPUT, K.CLOCK}),
    K.MEMORY_ADDRESS: frozenset({K.MEMORY_ADDRESS}),
    K.PROCESS_IDENTITY: frozenset({K.PROCESS_IDENTITY}),
    K.UNORDERED_ITERATION: frozenset({K.UNORDERED_ITERATION, K.THREADS}),
}
"""What in the code leaves traces that look like the key."""

NUMERIC = frozenset(
    {
        K.UNSEEDED_RANDOMNESS,
        K.THREADS,
        K.CLOCK,
        K.EXTERNAL_STATE,
        K.HARDWARE,
        K.PROCESS_IDENTITY,
        K.MEMORY_ADDRESS,
        K.UNORDERED_ITERATION,
    }
)
"""What in the code can make numbers differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing that differs.

    Attributes:
        place: Place of its cell in the list of code cells; None when it is an artifact.
        cell_index: Index of that cell in the notebook.
        name: Name of the artifact.
        appearance: What the difference looks like.
        relative: Largest relative difference of its numbers, when it is one of numbers.
    """

    place: int | None = None
    cell_index: int | None = None
    name: str = ""
    appearance: Appearance = field(default_factory=Appearance)
    relative: float | None = None

    @property
    def is_noise(self) -> bool:
        """Whether numbers differ so little that only the order of additions can be other."""
        return self.relative is not None and self.relative < NOISE


def find_causes(inputs: list[InputDifference], steps: list[Step], difference: Difference) -> list[Cause]:
    """Return why outputs differ, the most likely first; never empty."""
    found = [*_of_inputs(inputs, difference), *_of_code(steps, difference)]
    found.sort(key=lambda cause: cause.confidence is not Confidence.LIKELY)
    return found[:MAX_CAUSES] or [_unknown(difference)]


def _of_inputs(inputs: list[InputDifference], difference: Difference) -> list[Cause]:
    found: dict[CauseKind, tuple[Confidence, list[str]]] = {}
    for one in inputs:
        row = next((row for row in FIELDS if one.field.startswith(row[0])), None)
        if row is not None:
            told = f"{one.field}: {one.left or 'nothing'} and {one.right or 'nothing'}"
            confidence = Confidence.LIKELY if row[1] in ARITHMETIC and difference.is_noise else row[2]
            found.setdefault(row[1], (confidence, []))[1].append(told)
    order = [row[1] for row in FIELDS]
    return [
        Cause(kind=kind, confidence=found[kind][0], evidence=_summed_up(found[kind][1]))
        for kind in sorted(found, key=order.index)
    ]


def _summed_up(told: list[str]) -> str:
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return told[0][:MAX_EVIDENCE] + more


def _of_code(steps: list[Step], difference: Difference) -> list[Cause]:
    reaching = _reaching(steps, difference)
    within = [step for step in steps if difference.place is None or step.place <= difference.place]
    if kinds := difference.appearance.kinds:
        return [cause for kind in kinds for cause in _of_traces(kind, reaching, within, difference)]
    suspects = [suspect for suspect in _suspects(reaching) if not suspect.is_weak]
    if difference.appearance.is_numeric:
        suspects = [suspect for suspect in suspects if suspect.kind in NUMERIC]
    if not suspects:
        return [_cause(one, Confidence.POSSIBLE) for one in _suspects(within) if not one.is_weak] or _noise(difference)
    if difference.is_noise:
        suspects.sort(key=lambda suspect: suspect.kind is not K.THREADS)
    first = suspects[0].kind
    return [_cause(one, Confidence.LIKELY if one.kind is first else Confidence.POSSIBLE) for one in suspects]


def _of_traces(kind: CauseKind, reaching: list[Step], within: list[Step], difference: Difference) -> list[Cause]:
    """Return the code that leaves such traces, nearest first; or only the traces where no code is known to."""
    for steps in (reaching, within):
        if found := [suspect for suspect in _suspects(steps) if suspect.kind in TRACES[kind]]:
            found.sort(key=lambda suspect: (suspect.is_weak, suspect.kind is not kind))
            return [_cause(suspect, Confidence.LIKELY) for suspect in found]
    where = f"cell {difference.cell_index}" if difference.cell_index is not None else difference.name or "the outputs"
    told = f"{where} differs only in what {MEANINGS[kind]}"
    return [Cause(kind=kind, confidence=Confidence.LIKELY, evidence=told, cell_index=difference.cell_index)]


MEANINGS = {
    K.CLOCK: "looks like a date or a time",
    K.TIMING_OUTPUT: "looks like a duration or a speed",
    K.MEMORY_ADDRESS: "looks like a memory address",
    K.PROCESS_IDENTITY: "looks like a random or a process's name",
    K.UNORDERED_ITERATION: "order its words have",
}


def _suspects(steps: Iterable[Step]) -> list[Suspect]:
    """Return the suspects of steps, the last statement first: it is nearest to what differs."""
    ordered = [suspect for step in reversed(list(steps)) for suspect in step.suspects]
    return list(dict.fromkeys(ordered))


def _reaching(steps: list[Step], difference: Difference) -> list[Step]:
    """Return the statements whose results can be in what differs, in order."""
    found: list[Step] = []
    needed: set[str] = set()
    for step in reversed(steps):
        if difference.place is not None:
            is_there = step.place == difference.place
            if step.place > difference.place:
                continue
        else:
            is_there = any(difference.name and difference.name in text for text in step.texts)
        if is_there or step.binds & needed:
            found.append(step)
            needed |= step.uses
    return found[::-1]


def _cause(suspect: Suspect, confidence: Confidence) -> Cause:
    return Cause(
        kind=suspect.kind,
        confidence=confidence,
        evidence=suspect.evidence,
        cell_index=suspect.cell_index,
        line=suspect.line,
    )


def _noise(difference: Difference) -> list[Cause]:
    if not difference.is_noise:
        return []
    told = f"numbers differ by at most {difference.relative:.2g} of their size, as additions in another order do"
    return [Cause(kind=K.THREADS, confidence=Confidence.POSSIBLE, evidence=told, cell_index=difference.cell_index)]


def _unknown(difference: Difference) -> Cause:
    told = "nothing that went in differs, and nothing in the code is known to differ from run to run"
    return Cause(kind=K.UNKNOWN, confidence=Confidence.POSSIBLE, evidence=told, cell_index=difference.cell_index)
