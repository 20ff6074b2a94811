# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays (npy, npz) compared number by number, read without NumPy: a header and numbers behind it.

An array of objects is a pickle, and a pickle is a program: nothing here would load one. Types other than numbers are
compared by their bytes.
"""

from __future__ import annotations

import ast
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

from animus_contracts.comparisons import Tolerances
from animus_runner.comparison.findings import IDENTICAL, Closeness, Finding, different, incomparable, worst

MAGIC = b"\x93NUMPY"
MAX_HEADER = 64 << 10
MAX_BYTES = 256 << 20
MAX_MEMBERS = 10_000
FORMATS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d", "c8": "f", "c16": "d",
}  # fmt: skip
"""How the struct module calls NumPy's types of numbers; a complex number is two."""

TYPE = re.compile(r"([<>|=])([bifuc]\d{1,2})")
STEP = 8192
UNREADABLE = (ValueError, SyntaxError, LookupError, TypeError, RecursionError, MemoryError, struct.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Array:
    kind: str
    shape: tuple[int, ...]
    is_fortran: bool
    body: memoryview


def compare_arrays(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    """Compare two ``.npy`` files whose bytes differ."""
    return _compare_contents(left.read_bytes(), right.read_bytes(), tolerances)


def compare_archives(left: Path, right: Path, tolerances: Tolerances) -> Finding:
    """Compare two ``.npz`` files whose bytes differ, member by member."""
    try:
        with zipfile.ZipFile(left) as ours, zipfile.ZipFile(right) as theirs:
            names, other_names = sorted(ours.namelist()), sorted(theirs.namelist())
            if names != other_names:
                return different("they hold other arrays")
            if len(names) > MAX_MEMBERS:
                return incomparable(f"more than {MAX_MEMBERS} arrays")
            return _compare_members(ours, theirs, names, tolerances)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        return incomparable(f"not an archive that can be read: {error}")


def _compare_members(
    ours: zipfile.ZipFile, theirs: zipfile.ZipFile, names: list[str], tolerances: Tolerances
) -> Finding:
    room, findings = MAX_BYTES, []
    for name in names:
        contents = [_read(archive, name, room) for archive in (ours, theirs)]
        room -= sum(map(len, contents))
        if room < 0:
            return incomparable(f"more than {MAX_BYTES >> 20} MiB when unpacked")
        findings.append(_compare_contents(contents[0], contents[1], tolerances))
    # Archives whose arrays are all equal differ in how they were packed.
    return worst([Closeness(tolerances).finding(), *findings])


def _read(archive: zipfile.ZipFile, name: str, room: int) -> bytes:
    """Read a member, and never more than one byte past what there is room for, whatever its header promises."""
    with archive.open(name) as file:
        return file.read(room + 1)


def _compare_contents(left: bytes, right: bytes, tolerances: Tolerances) -> Finding:
    if left == right:
        return IDENTICAL
    try:
        ours, theirs = _parse(left), _parse(right)
    except UNREADABLE as error:
        return incomparable(f"not an array that can be read: {error}")
    if (ours.kind, ours.shape) != (theirs.kind, theirs.shape):
        return different(f"{ours.kind} {ours.shape} and {theirs.kind} {theirs.shape}")
    known = TYPE.fullmatch(ours.kind)
    if known is None or known[2] not in FORMATS:
        return different(f"arrays of {ours.kind}, compared by their bytes")
    if ours.is_fortran is not theirs.is_fortran:
        return incomparable("the arrays lie in memory in different order")
    closeness = Closeness(tolerances)
    _compare_numbers(ours.body, theirs.body, FORMATS[known[2]], known[1], closeness)
    return closeness.finding()


def _parse(content: bytes) -> _Array:
    if not content.startswith(MAGIC):
        raise ValueError("it does not start like one")
    size = 2 if content[6] == 1 else 4
    (length,) = struct.unpack_from("<H" if size == 2 else "<I", content, 8)  # noqa: PLR2004 - bytes of the length field
    if length > MAX_HEADER:
        raise ValueError(f"its header is longer than {MAX_HEADER} bytes")
    start = 8 + size + length
    header = ast.literal_eval(content[8 + size : start].decode("latin-1").strip())
    kind, shape = header["descr"], tuple(header["shape"])
    if not all(isinstance(number, int) and number >= 0 for number in shape):
        raise ValueError("its shape is not one")
    body = memoryview(content)[start:]
    if isinstance(kind, str) and (known := TYPE.fullmatch(kind)) and len(body) != prod(shape) * int(known[2][1:]):
        raise ValueError("it holds more or fewer numbers than its shape says")
    return _Array(kind=str(kind), shape=shape, is_fortran=bool(header["fortran_order"]), body=body)


def _compare_numbers(left: memoryview, right: memoryview, code: str, order: str, closeness: Closeness) -> None:
    item, prefix = struct.calcsize(code), ">" if order == ">" else "<" if order == "<" else "="
    step = STEP * item
    for start in range(0, len(left), step):
        ours, theirs = left[start : start + step], right[start : start + step]
        if ours == theirs:
            continue
        layout = f"{prefix}{len(ours) // item}{code}"
        values = zip(struct.unpack(layout, ours), struct.unpack(layout, theirs), strict=True)
        for place, (value, other) in enumerate(values, start=start // item):
            closeness.compare(value, other, f"number {place}")
        if not closeness.is_within:
            return
