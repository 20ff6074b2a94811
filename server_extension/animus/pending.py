# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A submission whose answer was lost is repeated with the key it had, so that it never becomes two runs.

The key is written down before the request leaves and taken away when an answer (of either kind) has come. Executing
the same cell again after the connection broke therefore finds the run that exists; executing it again after an answer
is a new wish and makes a new run. Keys are kept for less time than the server remembers them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from animus.errors import UnreachableError
from animus.keys import new_key

KEPT_SECONDS = 12 * 3600.0


@contextmanager
def key_for(home: Path, url: str, project: str, submission: msgspec.Struct) -> Iterator[str]:
    """Provide the idempotency key of a submission, the same one until an answer has come.

    Args:
        home: The client's own folder.
        url: The control plane.
        project: The project.
        submission: What is submitted.
    """
    note = home / "pending" / _fingerprint(url, project, submission)
    try:
        key = _recall(note) or _remember(note)
    except OSError:
        # Without a place to write, a lost answer may still be repeated within this very call.
        key = new_key()
    try:
        yield key
    except UnreachableError:
        raise
    except Exception:
        _forget(note)
        raise
    else:
        _forget(note)


def _fingerprint(url: str, project: str, submission: msgspec.Struct) -> str:
    content = msgspec.json.encode([url, project, submission], order="deterministic")
    return hashlib.sha256(content).hexdigest()


def _recall(note: Path) -> str:
    try:
        fresh = time.time() - note.stat().st_mtime < KEPT_SECONDS
        return note.read_text(encoding="ascii") if fresh else ""
    except FileNotFoundError:
        return ""


def _remember(note: Path) -> str:
    key = new_key()
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = note.with_name(f"{note.name}.{os.getpid()}")
    new.write_text(key, encoding="ascii")
    new.replace(note)
    return key


def _forget(note: Path) -> None:
    with suppress(OSError):
        note.unlink(missing_ok=True)
