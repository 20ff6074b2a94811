# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What replaying each notebook of the corpus must say: the verdict, and the kind of the first cause.

Runs have PYTHONHASHSEED=0 and a process namespace of their own, so the order of a set of strings, the process id and
the host name are the same every time; they are here to show it. ``second`` is what the second run gets differently;
with nothing in it the second run is a replay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from animus_contracts.comparisons import CauseKind, Match

K = CauseKind
IDENTICAL, EQUIVALENT, DIFFERENT = Match.IDENTICAL, Match.EQUIVALENT, Match.DIFFERENT


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The right answer for one notebook.

    ``cell`` is the first cell that differs, by its position in the notebook (the title is 0).
    """

    notebook: str
    verdict: Match
    cause: CauseKind | None = None
    cell: int | None = None
    artifacts: dict[str, Match] = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    second: dict[str, Any] = field(default_factory=dict)


def same(notebook: str, **more: Any) -> Expected:
    return Expected(notebook=notebook, verdict=IDENTICAL, **more)


def differs(notebook: str, cause: CauseKind, cell: int | None, **more: Any) -> Expected:
    return Expected(notebook=notebook, verdict=DIFFERENT, cause=cause, cell=cell, **more)


FILES = {"prices.csv": "item,price\napple,3.5\npear,4.25\n", "notes.txt": "paid\n", "a": "1", "b": "2", "c": "3"}
OTHER_PRICES = FILES | {"prices.csv": "item,price\napple,3.5\npear,9.75\n"}
WRITTEN = {"array.npy": IDENTICAL, "arrays.npz": IDENTICAL, "summary.json": IDENTICAL, "table.csv": IDENTICAL}

REPLAYS = [
    # nothing of chance
    same("calendar"),
    same("coroutines"),
    same("describe-a-table"),
    same("large-output"),
    same("list-a-folder-sorted"),
    same("monte-carlo-seeded"),
    same("old-format"),
    same("parameterised", first={"parameters": {"depth": 4}}, second={"parameters": {"depth": 4}}),
    same("plot"),
    same("read-data"),
    same("rich-display"),
    same("save-a-model", artifacts={"model.joblib": IDENTICAL}),
    same("shell"),
    same("slow"),
    same("split-sums"),
    same("train-a-classifier"),
    same("write-tables", artifacts=WRITTEN),
    # chance that the platform takes away
    same("run-seed", first={"seed": 7}, second={"seed": 7}),
    same("whoami"),
    same("words"),
    # chance that is no output: paths of the run, generated ids, dates in the metadata of a picture
    same("styled-table"),
    same("vector-plot"),
    same("warnings"),
    # failures repeat as well
    same("broken"),
    same("too-much-memory"),
    # chance
    differs("draw-lots", K.UNSEEDED_RANDOMNESS, 2),
    differs("monte-carlo", K.UNSEEDED_RANDOMNESS, 2),
    differs("random-plot", K.UNSEEDED_RANDOMNESS, 2),
    differs("run-seed", K.UNSEEDED_RANDOMNESS, 2),
    differs("train-test-split", K.UNSEEDED_RANDOMNESS, 3),
    differs("write-noise", K.UNSEEDED_RANDOMNESS, None, artifacts={"sample.csv": DIFFERENT}),
    differs("child-process", K.EXTERNAL_STATE, 2),
    differs("graph-nodes", K.UNORDERED_ITERATION, 2),
    differs("identifiers", K.PROCESS_IDENTITY, 3),
    differs("list-a-folder", K.UNORDERED_ITERATION, 2, second={"is_reversed": True}),
    differs("logging", K.CLOCK, 2),
    differs("machine-load", K.EXTERNAL_STATE, 2),
    differs("plain-objects", K.MEMORY_ADDRESS, 2),
    differs("progress-bar", K.TIMING_OUTPUT, 2),
    differs("report-date", K.CLOCK, 2),
    differs("scratch-files", K.PROCESS_IDENTITY, 2),
    differs("stopwatch", K.CLOCK, 3),
    differs("thread-log", K.THREADS, 3),
    differs("time-a-cell", K.TIMING_OUTPUT, 2),
    differs("tokens", K.PROCESS_IDENTITY, 2),
    Expected(notebook="parallel-sum", verdict=EQUIVALENT, cause=K.THREADS),
    # other inputs
    differs("parameterised", K.PARAMETERS, 2, first={"parameters": {"depth": 3}}, second={"parameters": {"depth": 5}}),
    differs("read-data", K.DATA, 2, second={"files": OTHER_PRICES}),
    differs("run-seed", K.SEED, 2, first={"seed": 7}, second={"seed": 8}),
    Expected(notebook="split-sums", verdict=EQUIVALENT, cause=K.THREADS, second={"cpus": 3.0}),
]
