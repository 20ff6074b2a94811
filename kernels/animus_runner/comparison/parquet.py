# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Parquet files compared value by value, however each of them is compressed, encoded and cut into groups of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animus_contracts.comparisons import Tolerances
from animus_runner.comparison.findings import Closeness, Finding, different, incomparable
from animus_runner.comparison.trees import compare_values

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

STEP = 8192
MAX_VALUES = 100_000_000
"""Rows times columns; a file of a few bytes can promise any number of equal ones."""


def compare_parquet(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    """Compare two ``.parquet`` files whose bytes differ; their columns have to agree in name, order and type."""
    import pyarrow as pa  # noqa: PLC0415 - half a second that only who compares such files spends
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        with ParquetFile(left) as ours, ParquetFile(right) as theirs:
            return _shape_differs(ours, theirs) or _compare_columns(ours, theirs, tolerances)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        return incomparable(f"not Parquet that can be read: {' '.join(str(error).split())}")


def _shape_differs(ours: ParquetFile, theirs: ParquetFile) -> Finding | None:
    left, right = ours.schema_arrow, theirs.schema_arrow
    if left.names != right.names:
        lonely = sorted(set(left.names) ^ set(right.names))
        return different(f"only one has the column {lonely[0]!r}" if lonely else "the columns are in another order")
    for field, other in zip(left, right, strict=True):
        if field.type != other.type:
            return different(f"column {field.name!r} is {field.type} and {other.type}")
    if ours.metadata.num_rows != theirs.metadata.num_rows:
        return different(f"{ours.metadata.num_rows} rows and {theirs.metadata.num_rows}")
    if ours.metadata.num_rows * len(left) > MAX_VALUES:
        return incomparable(f"more than {MAX_VALUES:,} values")
    return None


def _compare_columns(ours: ParquetFile, theirs: ParquetFile, tolerances: Tolerances) -> Finding:
    closeness = Closeness(tolerances)
    row = 1
    for batch, other in _in_step(_batches(ours), _batches(theirs)):
        for name, column, other_column in zip(batch.schema.names, batch, other, strict=True):
            if not column.equals(other_column):
                _compare_column(f"column {name!r}", column, other_column, row, closeness)
        if not closeness.is_within:
            break
        row += len(batch)
    else:
        if row <= ours.metadata.num_rows:  # a footer is as easily forged as anything else
            return incomparable(f"only {row - 1} of {ours.metadata.num_rows} rows are there")
    return closeness.finding()


def _batches(file: ParquetFile) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(batch_size=STEP, use_threads=False)


def _in_step(
    ours: Iterator[pa.RecordBatch], theirs: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Cut the batches of two files that have equally many rows so that each pair covers the same ones."""
    left, right = next(ours, None), next(theirs, None)
    while left is not None and right is not None:
        rows = min(len(left), len(right))
        yield left[:rows], right[:rows]
        left = left[rows:] if rows < len(left) else next(ours, None)
        right = right[rows:] if rows < len(right) else next(theirs, None)


def _compare_column(name: str, left: pa.Array, right: pa.Array, first: int, closeness: Closeness) -> None:
    for row, (value, other) in enumerate(zip(_values(left), _values(right), strict=True), start=first):
        if value is not other:
            compare_values(value, other, f"{name}, row {row}", closeness)


def _values(column: pa.Array) -> list[Any]:
    import pyarrow as pa  # noqa: PLC0415 - there already

    kind = column.type
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        # A Python object would lose nanoseconds; how many of its unit passed is exact, and compared as such.
        column = column.view(pa.int64() if kind.bit_width == 64 else pa.int32())  # noqa: PLR2004 - bits
    values: list[Any] = column.to_pylist()
    return values
