# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What an attempt leaves is settled in its folder before any of it is delivered, so that anybody can deliver it.

Rules kept here:

* a settled attempt is a verdict and a list of files, each with the digest it has; it is written whole or not at all;
* whoever delivers it uploads these files and changes nothing;
* nothing is published that may hold a credential.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.assignments import AttemptResult
from animus_contracts.decoding import decode_json
from animus_contracts.digests import Digest
from animus_runner.artifacts import UPLOADS, Produced, described
from animus_runner.control_plane import PATIENCE_SECONDS, patiently
from animus_runner.redact import Redactor

SETTLED_FILE = "settled.json"
EXECUTED_FILE, LOG_FILE, KERNEL_LOG_FILE = "executed.ipynb", "run.log", "kernel.log"
KERNEL_LOG_BYTES = 64 * 1024


class Settled(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An attempt that is over.

    Attributes:
        result: How it went, with all its artifacts.
        files: The path of each artifact's bytes, in the same order.
    """

    result: AttemptResult
    files: list[str]


def settle(run: Path, result: AttemptResult, produced: list[Produced]) -> Settled:
    """Note in a run's folder how an attempt went and what it leaves.

    Args:
        run: The folder.
        result: How it went, still without artifacts.
        produced: What becomes its artifacts.
    """
    with ThreadPoolExecutor(UPLOADS) as pool:
        entries = list(pool.map(described, produced))
    settled = Settled(
        result=msgspec.structs.replace(result, artifacts=entries), files=[str(file.path) for file in produced]
    )
    arriving = run / f".{SETTLED_FILE}"
    arriving.write_bytes(msgspec.json.encode(settled))
    arriving.replace(run / SETTLED_FILE)
    return settled


def settled_in(run: Path) -> Settled | None:
    """Return what was settled in a run's folder, if anything was."""
    try:
        return decode_json((run / SETTLED_FILE).read_bytes(), Settled)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def deliver(
    settled: Settled, put: Callable[[Digest, Path], None], *, patience: float = PATIENCE_SECONDS
) -> AttemptResult:
    """Upload what an attempt leaves, several files at once and through an outage of ``patience`` seconds.

    Raises:
        FailedError: If the control plane does not take a file.
    """

    def upload(entry: ArtifactEntry, file: str) -> None:
        patiently(lambda: put(entry.digest, Path(file)), patience=patience)

    with ThreadPoolExecutor(UPLOADS) as pool:
        list(pool.map(upload, settled.result.artifacts, settled.files))
    return settled.result


def records(run: Path, name: str, redactor: Redactor) -> list[Produced]:
    """Return the executed notebook and the log, without credentials; what was never written is left out.

    Args:
        run: The run's folder.
        name: The notebook's file name.
        redactor: Takes credentials out.
    """
    found = []
    executed, log = run / EXECUTED_FILE, run / LOG_FILE
    if executed.exists():
        _redact_notebook(executed, redactor)
        found.append(Produced(name=name, kind=ArtifactKind.NOTEBOOK, path=executed))
    if log.exists():
        text = log.read_text(encoding="utf-8", errors="replace") + _kernel_messages(run / KERNEL_LOG_FILE)
        log.write_text(redactor.text(text), encoding="utf-8")
        found.append(Produced(name=log.name, kind=ArtifactKind.LOG, path=log, media_type="text/plain"))
    return found


def _redact_notebook(executed: Path, redactor: Redactor) -> None:
    content = msgspec.json.decode(executed.read_bytes())
    before = redactor.count
    clean = redactor.notebook(content)
    if redactor.count != before:
        executed.write_bytes(msgspec.json.format(msgspec.json.encode(clean), indent=1) + b"\n")


def _kernel_messages(log: Path) -> str:
    """What the kernel's process wrote past Jupyter, such as the last words of a crashed library."""
    if not log.exists() or not (size := log.stat().st_size):
        return ""
    with log.open("rb") as file:
        file.seek(max(0, size - KERNEL_LOG_BYTES))
        return f"--- kernel process\n{file.read().decode(errors='replace')}"
