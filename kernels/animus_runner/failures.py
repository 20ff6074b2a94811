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

    def __str__(self) -> str:
        return "the injected parameters" if self.cell_index is None else f"cell {self.cell_index}"


def of_reply(reply: dict[str, Any], place: Place, memory: int) -> Failure:
    """Explain the error a cell ended with."""
    name = str(reply.get("ename", "Error"))
    detail = plain("\n".join(map(str, reply.get("traceback", []))))
    exception = plain(f"{name}: {reply.get('evalue', '')}".removesuffix(": "))[:MAX_EXCEPTION]
    where = {"cell_id": place.cell_id, "cell_index": place.cell_index, "exception": exception, "detail": detail}
    if name in MEMORY_EXCEPTIONS:
        return _out_of_memory(f"{str(place).capitalize()} asked for more memory than the run has", memory, **where)
    return Failure(
        reason=FailureReason.USER_CODE,
        summary=f"{str(place).capitalize()} raised {name}.",
        remedy="Correct the cell, commit, and submit the new commit.",
        **where,
    )


def of_end(end: KernelEnd, place: Place | None, memory: int, log: str) -> Failure:
    """Explain the end of a kernel that was still needed; ``place`` is None before the first cell."""
    detail = plain("\n".join(filter(None, (end.error, log))))
    if place is None:
        return _never_started(end, detail)
    where = {"cell_id": place.cell_id, "cell_index": place.cell_index, "detail": detail}
    if end.cause == "memory":
        return _out_of_memory(f"The run held more memory than it has, in {place}", memory, **where)
    if end.exit is not None and end.exit >= 0:
        return Failure(
            reason=FailureReason.USER_CODE,
            summary=f"{str(place).capitalize()} ended the kernel's process with status {end.exit}.",
            remedy="Do not end the process (os._exit) in a notebook; raise an exception instead.",
            **where,
        )
    if end.exit is None or end.cause:
        return Failure(
            reason=FailureReason.INFRASTRUCTURE,
            summary=f"The kernel's warden went away in {place}.",
            remedy="Submit the run again.",
            **where,
        )
    name = _signal_name(-end.exit)
    return Failure(
        reason=FailureReason.KILLED,
        summary=f"The kernel was killed by {name} in {place}.",
        remedy="See the detail and the log; a crash in a library (SIGSEGV) is not something the platform can explain.",
        **where,
    )


def of_timeout(place: Place | None, seconds: int) -> Failure:
    """Explain that the time was over."""
    where = place or Place()
    return Failure(
        reason=FailureReason.TIMEOUT,
        summary=f"The run took longer than its {seconds} s{f', in {place}' if place else ''}.",
        remedy="Ask for more wall_seconds, or make the work smaller.",
        cell_id=where.cell_id,
        cell_index=where.cell_index,
    )


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


def _out_of_memory(summary: str, memory: int, **where: Any) -> Failure:
    return Failure(
        reason=FailureReason.OUT_OF_MEMORY,
        summary=f"{summary} ({memory // MIB} MiB).",
        remedy="Ask for more memory_mib, or hold less data at once.",
        **where,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
