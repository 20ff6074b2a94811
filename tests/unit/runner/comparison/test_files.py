# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A file is compared by value where its format is known and cannot run anything, and by its bytes otherwise."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.comparisons import ArtifactComparison, Match, Tolerances
from animus_runner.comparison import arrays, artifacts, parquet, pictures
from animus_runner.comparison.artifacts import compare_artifacts
from animus_runner.comparison.trees import compare_trees
from tests.unit.runner.comparison.sides import a_file

SAME, E, D, N = Match.IDENTICAL, Match.EQUIVALENT, Match.DIFFERENT, Match.INCOMPARABLE


def npy(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(value), **options)
    return file.getvalue()


def npz(**values: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **values)
    return file.getvalue()


def table(columns: Any = None, /, **options: Any) -> bytes:
    """A Parquet file of columns by name, or of another table."""
    file = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), file, **options)
    return file.getvalue()


def instants(*nanoseconds: int) -> pa.Array:
    return pa.array(nanoseconds, type=pa.timestamp("ns", tz="UTC"))


def png(rows: bytes, *, level: int = 6, note: bytes = b"", size: tuple[int, int] = (2, 2)) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        chunk(b"tEXt", note),
        chunk(b"IDAT", zlib.compress(rows, level)),
        chunk(b"IEND", b""),
    ]
    return pictures.SIGNATURE + b"".join(parts)


def compared(folder: Path, name: str, left: str | bytes, right: str | bytes) -> ArtifactComparison:
    for side in ("left", "right"):
        (folder / side).mkdir(exist_ok=True)
    files = [a_file(folder / side / name, content) for side, content in (("left", left), ("right", right))]
    [found] = compare_artifacts(files[:1], files[1:], Tolerances())
    [back] = compare_artifacts(files[1:], files[:1], Tolerances())
    assert found.match is back.match
    return found


WORDS = pa.table({"x": ["a", "b"]})
THIRD = 1 / 3
NOISE = THIRD * (1 + 1e-12)
SVG = '<svg><metadata><dc:date>{0}</dc:date></metadata><path id="p{1}"/><use href="#p{1}" x="{2}"/></svg>'


@pytest.mark.parametrize(
    ("name", "left", "right", "match"),
    [
        # tables
        ("a.csv", f"x,y\n1,{THIRD}\n", f"x,y\n1,{NOISE}\n", E),
        ("a.csv", "x,y\n1,2\n", 'x,y\n1,"2"\n', E),
        ("a.csv", "x\n1\n", "x\n1.0\n", E),
        ("a.csv", "x\n1000000000\n", "x\n1000000001\n", D),
        ("a.csv", "x,y\n1,2\n", "x,y\n1,3\n", D),
        ("a.csv", "x\nnan\n", "x\nNaN\n", D),
        ("a.csv", "x\n1\n", "x\n1\n2\n", D),
        ("a.csv", "x,y\n1,2\n", "x,y\n1\n", D),
        ("a.csv", "x\n1_0\n", "x\n10\n", D),
        ("a.csv", "x\n" + "9" * 290, "x\n1.5", D),
        ("a.csv", "x\n" + "9" * 400, "x\n" + "8" * 400, D),
        ("a.csv", b"x\n\xff\n", "x\n1\n", N),
        ("a.csv", '"' + "x" * (2 << 20) + '"', "x", N),
        ("a.tsv", f"x\ty\na\t{THIRD}\n", f"x\ty\na\t{NOISE}\n", E),
        # JSON
        ("a.json", '{"a": 1, "b": [0.5]}', '{"b":[0.5],"a":1}', E),
        ("a.json", json.dumps([THIRD]), json.dumps([NOISE]), E),
        ("a.json", "[1]", "[1.0]", D),
        ("a.json", "[1]", "[true]", D),
        ("a.json", '{"a": 1}', '{"b": 1}', D),
        ("a.json", "[1, 2]", "[1]", D),
        ("a.json", "[NaN ]", "[NaN]", E),
        ("a.json", "[" * 100_000, "[1]", N),
        ("a.json", "{", "{}", N),
        ("a.json", "1" * 10_000, "1", N),
        # arrays
        ("a.npy", npy([1.0, THIRD]), npy([1.0, NOISE]), E),
        ("a.npy", npy([1.0, np.nan, np.inf]), npy([1.0 + 1e-12, np.nan, np.inf]), E),
        ("a.npy", npy([1, 2]), npy([1, 3]), D),
        ("a.npy", npy([10**18]), npy([10**18 + 1]), D),
        ("a.npy", npy([True]), npy([False]), D),
        ("a.npy", npy(np.array([1.5], dtype=">f4")), npy(np.array([1.5], dtype="<f4")), D),
        ("a.npy", npy(np.array([1 + THIRD * 1j])), npy(np.array([1 + NOISE * 1j])), E),
        ("a.npy", npy(np.float16(1.5)), npy(np.float16(1.6)), D),
        ("a.npy", npy([[1.0], [2.0]]), npy([[1.0, 2.0]]), D),
        ("a.npy", npy(["ab"]), npy(["ac"]), D),
        ("a.npy", npy([{"a": 1}], allow_pickle=True), npy([{"a": 2}], allow_pickle=True), D),
        ("a.npy", npy(np.asfortranarray([[1.0, 2], [3, 4]])), npy(np.ascontiguousarray([[1.0, 2], [3, 5]])), N),
        ("a.npy", npy([1.0])[:-1], npy([1.0]), N),
        ("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, npy([1.0]), N),
        ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff", npy([1.0]), N),
        ("a.npy", b"\x93NUMPY", npy([1.0]), N),
        ("a.npz", npz(a=[1.0], b=[THIRD]), npz(a=[1.0], b=[NOISE]), E),
        ("a.npz", npz(a=[1.0]), npz(a=[2.0]), D),
        ("a.npz", npz(a=[1.0]), npz(b=[1.0]), D),
        ("a.npz", b"PK\x03\x04", npz(b=[1.0]), N),
        # Parquet
        ("a.parquet", table({"x": [1.0, THIRD]}), table({"x": [1.0, NOISE]}), E),
        ("a.parquet", table({"x": [None, np.nan, THIRD]}), table({"x": [None, np.nan, NOISE]}), E),
        ("a.parquet", table({"x": [THIRD] * 9}, compression="zstd"), table({"x": [THIRD] * 9}, row_group_size=2), E),
        ("a.parquet", table({"x": ["a", "b"]}), table({"x": ["a", "b"]}, use_dictionary=False), E),
        ("a.parquet", table(WORDS), table(WORDS.replace_schema_metadata({"pandas": "{}"})), E),
        ("a.parquet", table({"x": [[1, 2], [THIRD]]}), table({"x": [[1, 2], [NOISE]]}), E),
        ("a.parquet", table({"x": [{"a": THIRD}]}), table({"x": [{"a": NOISE}]}), E),
        ("a.parquet", table({"x": [1.0]}), table({"x": [2.0]}), D),
        ("a.parquet", table({"x": [1.0]}), table({"x": [None]}), D),
        ("a.parquet", table({"x": [0.5, None]}), table({"x": [0.5, 0.0]}), D),
        ("a.parquet", table({"x": [10**9]}), table({"x": [10**9 + 1]}), D),
        ("a.parquet", table({"x": [True]}), table({"x": [False]}), D),
        ("a.parquet", table({"x": ["a"]}), table({"x": ["b"]}), D),
        ("a.parquet", table({"x": [b"a"]}), table({"x": [b"b"]}), D),
        ("a.parquet", table({"x": [Decimal("1.10")]}), table({"x": [Decimal("1.11")]}), D),
        ("a.parquet", table({"x": [date(2024, 1, 1)]}), table({"x": [date(2024, 1, 2)]}), D),
        ("a.parquet", table({"x": instants(1, 2)}), table({"x": instants(1, 3)}), D),
        ("a.parquet", table({"x": instants(1, 2)}), table({"x": instants(1, 2)}, compression="gzip"), E),
        ("a.parquet", table({"x": [1]}), table({"x": [1.0]}), D),
        ("a.parquet", table({"x": [1]}), table({"x": [1, 1]}), D),
        ("a.parquet", table({"x": [1]}), table({"y": [1]}), D),
        ("a.parquet", table({"x": [1], "y": [1]}), table({"y": [1], "x": [1]}), D),
        ("a.parquet", b"PAR1", table({"x": [1]}), N),
        ("a.parquet", table({"x": [1]})[:-9] + b"\xff" * 5 + b"PAR1", table({"x": [1]}), N),
        # text and markup
        ("a.txt", f"mean {THIRD}", f"mean {NOISE}", E),
        ("a.md", "one", "two", D),
        ("a.txt", b"\xff", "x", D),
        ("a.svg", SVG.format("today", "a1", 1), SVG.format("tomorrow", "b2", 1), E),
        ("a.svg", SVG.format("today", "a1", 1), SVG.format("today", "a1", 2), D),
        ("a.html", '<p id="x">1</p>', '<p id="y">2</p>', D),
        # pictures
        ("a.png", png(b"\0ab\0cd", note=b"Software\0one"), png(b"\0ab\0cd", level=0, note=b"Software\0two"), E),
        ("a.png", png(b"\0ab\0cd"), png(b"\0ab\0ce"), D),
        ("a.png", png(b"\0ab\0cd"), png(b"\0ab\0cd", size=(1, 4)), D),
        ("a.png", b"GIF89a", png(b""), N),
        ("a.png", pictures.SIGNATURE + b"\xff" * 9, png(b""), N),
        # never opened
        ("a.pkl", pickle.dumps(1), pickle.dumps(1.0), D),
        ("model.joblib", b"one", b"two", D),
        ("a.bin", b"1.0", b"1.0000000000001", D),
    ],
)  # fmt: skip
def test_file_is_as_alike_as_its_values(
    tmp_path: Path, name: str, left: str | bytes, right: str | bytes, match: Match
) -> None:
    assert compared(tmp_path, name, left, right).match is match
    assert compared(tmp_path, name, left, left).match is SAME


def test_how_far_numbers_are_apart_is_told(tmp_path: Path) -> None:
    found = compared(tmp_path, "a.csv", "x\n100.0\n", "x\n100.00000000001\n")
    assert found.largest_absolute_difference == pytest.approx(1e-11, rel=0.01)
    assert found.largest_relative_difference == pytest.approx(1e-13, rel=0.01)


def test_artifact_of_one_run_only_is_a_difference(tmp_path: Path) -> None:
    [found] = compare_artifacts([a_file(tmp_path / "a.txt", "x")], [], Tolerances())
    assert (found.match, found.right_digest, found.detail) == (D, None, "only the left run has it")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "loaded"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    hostile = npy(np.array([Attack()], dtype=object), allow_pickle=True)
    for name in ("a.npy", "a.pkl", "a.joblib"):
        compared(tmp_path, name, hostile, npy([{}], allow_pickle=True))
    compared(tmp_path, "a.npz", npz(a=np.array([Attack()], dtype=object)), npz(a=[1.0]))
    assert not marker.exists()


def test_archive_that_unpacks_to_more_than_there_is_room_for_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "MAX_BYTES", 1 << 20)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(64 << 20))
    found = compared(tmp_path, "a.npz", bomb.getvalue(), npz(a=[1.0]))
    assert (found.match, found.detail) == (N, "more than 1 MiB when unpacked")


def test_the_row_and_column_that_differ_are_named_whatever_the_groups_of_rows(tmp_path: Path) -> None:
    numbers = np.arange(3 * parquet.STEP)
    others = numbers.copy()
    others[2 * parquet.STEP + 5] = 0
    left, right = table({"n": numbers}, row_group_size=1000), table({"n": others}, row_group_size=7777)
    row = 2 * parquet.STEP + 5
    assert compared(tmp_path, "a.parquet", left, right).detail == f"column 'n', row {row + 1}: {row} and 0"


@pytest.mark.parametrize(
    ("left", "right", "detail"),
    [
        ({"x": [1]}, {"x": [1.5]}, "column 'x' is int64 and double"),
        ({"x": [1], "y": [1]}, {"x": [1]}, "only one has the column 'y'"),
        ({"x": [1], "y": [1]}, {"y": [1], "x": [1]}, "the columns are in another order"),
        ({"x": [1, 2]}, {"x": [1]}, "2 rows and 1"),
        ({"x": ["a"]}, {"x": ["b"]}, "column 'x', row 1: 'a' and 'b'"),
        ({"x": [{"a": [1, 2]}]}, {"x": [{"a": [1, 3]}]}, "column 'x', row 1.a[1]: 2 and 3"),
    ],
)
def test_what_differs_in_a_parquet_file_is_told(tmp_path: Path, left: Any, right: Any, detail: str) -> None:
    assert compared(tmp_path, "a.parquet", table(left), table(right)).detail == detail


def test_rows_that_a_footer_only_promises_are_missed(tmp_path: Path) -> None:
    rows = {"x": list(range(101))}
    forged = bytearray(table({"x": rows["x"][:100]}, compression="none", use_dictionary=False))
    footer = len(forged) - 8 - int.from_bytes(forged[-8:-4], "little")
    hundred = forged.index(b"\xc8\x01", footer)  # as Thrift's compact protocol writes it
    forged[hundred] = 0xCA
    assert pq.ParquetFile(io.BytesIO(bytes(forged))).metadata.num_rows == len(rows["x"])
    found = compared(tmp_path, "a.parquet", bytes(forged), table(rows))
    assert (found.match, found.detail) == (N, "only 100 of 101 rows are there")


def test_a_parquet_file_of_more_values_than_anybody_compares_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MAX_VALUES", 3)
    values = {"x": [1, 2], "y": [1, 2]}
    found = compared(tmp_path, "a.parquet", table(values), table(values, compression="gzip"))
    assert (found.match, found.detail) == (N, "more than 3 values")


def test_picture_that_inflates_to_more_than_there_is_room_for_is_not_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXEL_BYTES", 1 << 20)
    assert compared(tmp_path, "a.png", png(bytes(64 << 20)), png(b"")).match is N


def test_too_large_a_file_is_incomparable_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MAX_BYTES", 3)
    assert compared(tmp_path, "a.txt", "long", "longer").match is N
    assert compared(tmp_path, "a.txt", "long", "long").match is SAME


def test_a_table_of_a_million_columns_is_compared(tmp_path: Path) -> None:
    row = ",".join(["0.5"] * 1_000_000)
    assert compared(tmp_path, "a.csv", row + ",1.5", row + ",1.50000000000001").match is E


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values, json_values)
def test_trees_are_compared_symmetrically(left: Any, right: Any) -> None:
    assert compare_trees(left, left, Tolerances()).match is E  # whoever asks knows that the bytes differ
    forth, back = compare_trees(left, right, Tolerances()), compare_trees(right, left, Tolerances())
    assert forth.match is back.match


@given(st.lists(st.floats(width=64)), st.lists(st.floats(width=64)))
def test_arrays_are_compared_as_numpy_would(left: list[float], right: list[float]) -> None:
    found = arrays._compare_contents(npy(left), npy(right), Tolerances())
    is_close = len(left) == len(right) and np.allclose(left, right, rtol=1e-9, atol=0, equal_nan=True)
    if npy(left) == npy(right):
        assert found.match is SAME
    elif not is_close:
        assert found.match is D
