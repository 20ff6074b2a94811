# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why a notebook failed, decided from what was seen and from nothing the notebook claims about itself.

The table: an error in a cell is ``user_code``, a MemoryError in it ``out_of_memory``; a kernel that its warden ended
is ``out_of_memory``; one that a signal ended is ``killed``, one that ended itself ``user_code``; one that never
started is ``environment``, or ``infrastructure`` when the machine refused; time that is over is ``timeout``.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Any

from animus_contracts.runs import Failure, FailureReason
from animus_runner.kernels import KernelEnd
from animus_runner.limits import MIB

MAX_DETAIL = 16 * 1024
MAX_EXCEPTION = 1000
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")
CORRECT = "Correct the cell, commit, and submit the new commit."
USE_LESS = "Ask for more memory_mib, or hold less data at once."
MEMORY_EXCEPTIONS = frozenset({"MemoryError", "_ArrayMemoryError", "ArrayMemoryError"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the notebook a run was.

    Attributes:
        cell_id: nbformat id of the cell.
        cell_index: Its position in the notebook at the commit; None for a cell that is not there.
    """

    cell_id: str = ""
    cell_index: int | None = None

    def failure(self, reason: FailureReason, summary: str, *, remedy: str, detail: str, exception: str = "") -> Failure:
        """Build the failure that happened here."""
        return Failure(
            reason=reason,
            summary=summary,
            remedy=remedy,
            detail=detail,
            exception=exception,
            cell_id=self.cell_id,
            cell_index=self.cell_index,
        )

    def __str__(self) -> str:
        return "the injected parameters" if self.cell_index is None else f"cell {self.cell_index}"


def of_reply(reply: dict[str, Any], place: Place, memory: int) -> Failure:
    """Explain the error a cell ended with."""
    name = str(reply.get("ename", "Error"))
    detail = plain("\n".join(map(str, reply.get("traceback", []))))
    exception = plain(f"{name}: {reply.get('evalue', '')}".removesuffix(": "))[:MAX_EXCEPTION]
    reason, summary, remedy = FailureReason.USER_CODE, f"{_capital(place)} raised {name}.", CORRECT
    if name in MEMORY_EXCEPTIONS:
        reason, remedy = FailureReason.OUT_OF_MEMORY, USE_LESS
        summary = f"{_capital(place)} asked for more memory than the run's {memory // MIB} MiB."
    return place.failure(reason, summary, remedy=remedy, detail=detail, exception=exception)


def of_end(end: KernelEnd, place: Place | None, memory: int, log: str) -> Failure:
    """Explain the end of a kernel that was still needed; ``place`` is None before the first cell."""
    detail = plain("\n".join(filter(None, (end.error, log))))
    if place is None:
        return _never_started(end, detail)
    if end.cause == "memory":
        reason, remedy = FailureReason.OUT_OF_MEMORY, USE_LESS
        summary = f"The run held more memory than its {memory // MIB} MiB, in {place}."
    elif end.exit is None or end.cause:
        reason, remedy = FailureReason.INFRASTRUCTURE, "Submit the run again."
        summary = f"The kernel's warden went away in {place}."
    elif end.exit >= 0:
        reason, remedy = FailureReason.USER_CODE, "Raise an exception instead of ending the process (os._exit)."
        summary = f"{_capital(place)} ended the kernel's process with status {end.exit}."
    else:
        reason, remedy = FailureReason.KILLED, "See the detail and the log; SIGSEGV is a crash in a library."
        summary = f"The kernel was killed by {_signal_name(-end.exit)} in {place}."
    return place.failure(reason, summary, remedy=remedy, detail=detail)


def of_timeout(place: Place | None, seconds: int, *, cell_seconds: float | None = None) -> Failure:
    """Explain that the time was over: the run's, or that of one cell when ``cell_seconds`` is given."""
    summary = f"The run took longer than its {seconds} s{f', in {place}' if place else ''}."
    remedy = "Ask for more wall_seconds, or make the work smaller."
    if cell_seconds is not None and place is not None:
        summary = f"{_capital(place)} took longer than the {cell_seconds:g} s that one cell may take."
        remedy = "Ask for more cell_seconds, or make the cell's work smaller."
    return (place or Place()).failure(FailureReason.TIMEOUT, summary, remedy=remedy, detail="")


def plain(text: str) -> str:
    """Remove terminal control sequences, and the middle of what is too long."""
    text = ESCAPES.sub("", text)
    half = MAX_DETAIL // 2
    return text if len(text) <= MAX_DETAIL else f"{text[:half]}\n[...]\n{text[-half:]}"


def _never_started(end: KernelEnd, detail: str) -> Failure:
    if end.exit is not None and end.exit >= 0:
        return Failure(
            reason=FailureReason.ENVIRONMENT,
            summary="The environment's kernel cannot start.",
            detail=detail,
            remedy="See the detail; lock an environment in which ipykernel works.",
        )
    return Failure(
        reason=FailureReason.INFRASTRUCTURE,
        summary="The kernel could not be started on this machine.",
        detail=detail,
        remedy="Submit the run again; if it stays so, tell the administrator.",
    )


def _capital(place: Place) -> str:
    text = str(place)
    return text[:1].upper() + text[1:]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
