# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: PNG by the pixels as they are stored, everything with generated ids (SVG, HTML) with the ids counted out.

A PNG is compared by its header, palette and inflated rows; what its writer says about itself, and how well it packed,
is left out. Two PNGs of one picture whose rows were filtered differently count as different.
"""

from __future__ import annotations

import re
import struct
import zlib

from animus_contracts.comparisons import Match
from animus_runner.comparison.findings import Finding, different, incomparable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 13
MAX_PIXEL_BYTES = 256 << 20
SHOWN_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"acTL", b"fdAT", b"fcTL"})

METADATA, METADATA_END = "<metadata>", "</metadata>"
"""The date, and the program, that a writer of SVG leaves in the picture."""

DECLARED_ID = re.compile(r"""\bid=["']([\w:.-]{1,100})["']""")
USED_ID = re.compile(r"""(\bid=["']|\bfor=["']|#)([\w:.-]{1,100})""")


def compare_png(left: bytes, right: bytes) -> Finding:
    """Compare two PNGs whose bytes differ."""
    try:
        ours, theirs = _shown(left), _shown(right)
    except (ValueError, struct.error, zlib.error) as error:
        return incomparable(f"not a PNG that can be read: {error}")
    if ours["IHDR"] != theirs["IHDR"]:
        sizes = [struct.unpack_from(">II", found["IHDR"]) for found in (ours, theirs)]
        return different(f"pictures of {sizes[0][0]} x {sizes[0][1]} and {sizes[1][0]} x {sizes[1][1]} pixels")
    if ours != theirs:
        return different("other pixels")
    return Finding(match=Match.EQUIVALENT, detail="the same pixels")


def without_generated_ids(markup: str) -> str:
    """Count the ids of HTML or SVG from 1 in the order they are declared, and drop the metadata of an SVG."""
    markup = _without_metadata(markup)
    names = {name: f"id-{number}" for number, name in enumerate(dict.fromkeys(DECLARED_ID.findall(markup)), start=1)}
    return USED_ID.sub(lambda found: found[1] + names.get(found[2], found[2]), markup)


def _without_metadata(markup: str) -> str:
    kept, place = [], 0
    while (start := markup.find(METADATA, place)) >= 0 and (end := markup.find(METADATA_END, start)) >= 0:
        kept.append(markup[place:start])
        place = end + len(METADATA_END)
    return "".join([*kept, markup[place:]])


def _shown(content: bytes) -> dict[str, bytes]:
    """Return what of a PNG is shown: chunks by type, with the rows inflated."""
    if not content.startswith(SIGNATURE):
        raise ValueError("it does not start like one")
    found: dict[str, bytes] = {"IHDR": b""}
    rows, inflater, place = bytearray(), zlib.decompressobj(), len(SIGNATURE)
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        chunk = content[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            rows += inflater.decompress(chunk, MAX_PIXEL_BYTES + 1 - len(rows))
            if len(rows) > MAX_PIXEL_BYTES or inflater.unconsumed_tail:
                raise ValueError(f"more than {MAX_PIXEL_BYTES >> 20} MiB of pixels")
        elif kind in SHOWN_CHUNKS:
            found[kind.decode()] = found.get(kind.decode(), b"") + chunk
        place += 12 + length
    if len(found["IHDR"]) != HEADER_BYTES:
        raise ValueError("it has no header")
    return found | {"IDAT": bytes(rows)}
