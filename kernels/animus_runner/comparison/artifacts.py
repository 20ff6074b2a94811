# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Artifacts compared by name: equal digests are equal bytes; what has a format we can read is compared by value.

Never loaded: pickles (joblib, pkl, pt), because loading one runs it. They and all unknown formats are compared by their
bytes alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.comparisons import ArtifactComparison, ComparedFile, Match, Tolerances
from animus_runner.comparison.arrays import compare_archives, compare_arrays
from animus_runner.comparison.findings import IDENTICAL, Finding, different, incomparable
from animus_runner.comparison.parquet import compare_parquet
from animus_runner.comparison.pictures import compare_png, without_generated_ids
from animus_runner.comparison.tables import compare_tables
from animus_runner.comparison.texts import compare_texts
from animus_runner.comparison.trees import compare_trees

MAX_BYTES = 64 << 20
COMPARED_KINDS = frozenset({ArtifactKind.OUTPUT, ArtifactKind.LOGGED})
BY_BYTES = different("the bytes differ; files of this kind are not opened")

Comparer = Callable[[Path, Path, Tolerances], Finding]


def compare_artifacts(
    left: list[ComparedFile], right: list[ComparedFile], tolerances: Tolerances
) -> list[ArtifactComparison]:
    """Compare what two runs left behind, in the order of names; log, provenance and notebook are not among it."""
    ours, theirs = _by_name(left), _by_name(right)
    return [_compare(name, ours.get(name), theirs.get(name), tolerances) for name in sorted({*ours, *theirs})]


def _by_name(files: Iterable[ComparedFile]) -> dict[str, ComparedFile]:
    return {file.entry.name: file for file in files if file.entry.kind in COMPARED_KINDS}


def _compare(
    name: str, left: ComparedFile | None, right: ComparedFile | None, tolerances: Tolerances
) -> ArtifactComparison:
    there = left or right
    if there is None:
        raise RuntimeError("an artifact of neither run")
    finding = _finding(name, left, right, tolerances)
    return ArtifactComparison(
        name=name,
        kind=there.entry.kind,
        match=finding.match,
        left_digest=left.entry.digest if left else None,
        right_digest=right.entry.digest if right else None,
        detail=finding.detail,
        largest_relative_difference=finding.relative,
        largest_absolute_difference=finding.absolute,
    )


def _finding(name: str, left: ComparedFile | None, right: ComparedFile | None, tolerances: Tolerances) -> Finding:
    if left is None or right is None:
        return different(f"only the {'left' if left else 'right'} run has it")
    if left.entry.digest == right.entry.digest:
        return IDENTICAL
    comparer = COMPARERS.get(PurePosixPath(name).suffix.lower())
    if comparer is None:
        return BY_BYTES
    if max(left.entry.size_bytes, right.entry.size_bytes) > MAX_BYTES:  # and then nobody fetches them
        return incomparable(f"the bytes differ, and only files up to {MAX_BYTES >> 20} MiB are compared by value")
    if left.path is None or right.path is None:
        return incomparable("the bytes differ, and those of one run are gone")
    try:
        return comparer(Path(left.path), Path(right.path), tolerances)
    except (MemoryError, RecursionError) as error:
        return incomparable(f"too large or too deep to be compared ({type(error).__name__})")


def _csv(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    return compare_tables(left, right, ",", tolerances)


def _tsv(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    return compare_tables(left, right, "\t", tolerances)


def _json(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    try:
        values = [json.loads(path.read_bytes()) for path in (left, right)]
    except ValueError as error:
        return incomparable(f"not JSON that can be read: {error}")
    return compare_trees(values[0], values[1], tolerances)


def _text(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    try:
        texts = [path.read_text(encoding="utf-8") for path in (left, right)]
    except UnicodeDecodeError:
        return different("the bytes differ, and they are no UTF-8 text")
    return compare_texts(texts[0], texts[1], tolerances)


def _markup(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    try:
        texts = [without_generated_ids(path.read_text(encoding="utf-8")) for path in (left, right)]
    except UnicodeDecodeError:
        return different("the bytes differ, and they are no UTF-8 text")
    if texts[0] == texts[1]:
        return Finding(match=Match.EQUIVALENT, detail="equal but for generated ids and metadata")
    return compare_texts(texts[0], texts[1], tolerances)


def _png(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    del tolerances  # pixels are equal or not
    return compare_png(left.read_bytes(), right.read_bytes())


COMPARERS: dict[str, Comparer] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".geojson": _json,
    ".npy": compare_arrays,
    ".npz": compare_archives,
    ".parquet": compare_parquet,
    ".png": _png,
    ".svg": _markup,
    ".html": _markup,
    **dict.fromkeys(
        (".txt", ".md", ".log", ".rst", ".yaml", ".yml", ".jsonl", ".ndjson", ".xml", ".tex", ".py"), _text
    ),
}
"""How a file is compared by value, by the end of its name; any other is compared by its bytes."""
