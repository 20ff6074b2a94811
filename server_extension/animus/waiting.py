# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why a run waits, for people: in one line, asked again every few seconds as long as it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

import msgspec

from animus.errors import AnimusError
from animus_contracts.queues import Waiting, WaitingReason
from animus_contracts.runs import TERMINAL_STATES, Run, RunState

FIRST_SECONDS = 1.0
EVERY_SECONDS = 3.0
UNSTARTED = frozenset({RunState.AWAITING_APPROVAL, RunState.QUEUED})


class ListedRun(Run, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run in a list; ``waiting`` is there while it has not started."""

    waiting: Waiting | msgspec.UnsetType = msgspec.UNSET


class StoppedRun(Run, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run that was asked to stop; ``told`` says what became of that."""

    told: str


def stopped(before: Run, after: Run) -> StoppedRun:
    """Say what became of a run that was asked to stop, from what it was before."""
    if before.state in TERMINAL_STATES:
        told = f"it had {before.state} before"
    elif after.state not in TERMINAL_STATES:
        told = "its executor was asked to stop it, and has not answered yet"
    elif after.state is not RunState.CANCELED:
        told = f"it {after.state} before its executor could stop it"
    else:
        told = "it was stopped before it started" if after.started_at is None else "its executor stopped it"
    return StoppedRun(**_fields(after), told=told)


def listed(run: Run, ask: Callable[[str], Waiting]) -> ListedRun:
    """Return a run for a list, with the reason why it waits if it does."""
    waiting = ask(run.run_id) if run.state in UNSTARTED else msgspec.UNSET
    return ListedRun(**_fields(run), waiting=waiting)


def in_one_line(waiting: Waiting) -> str:
    """Say why a run waits, where it is in the queue, and about how long it will."""
    parts = [waiting.detail]
    if waiting.position is not None:
        parts.append(f"place {waiting.position} in the project's queue")
    if waiting.estimate_seconds is not None:
        parts.append(f"starts in about {_about(waiting.estimate_seconds)}")
    return " · ".join(parts)


class Waits:
    """Asks why a run waits while the block lasts and the run does, in a thread of its own.

    Args:
        ask: Asks the control plane.
        show: Takes the line to show; an empty one when the run waits no more.
        first: Seconds before it is asked for the first time: most runs start sooner.
        every: Seconds between two times.
    """

    def __init__(
        self,
        ask: Callable[[], Waiting],
        show: Callable[[str], None],
        *,
        first: float = FIRST_SECONDS,
        every: float = EVERY_SECONDS,
    ) -> None:
        self._ask = ask
        self._show = show
        self._first = first
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="animus-waits", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more: the run has started, or nobody looks."""
        self._over.set()

    def _run(self) -> None:
        pause = self._first
        while not self._over.wait(pause):
            pause = self._every
            try:
                told = self._ask()
            except AnimusError:
                continue  # who follows the run tells of it; this is only said besides
            if self._over.is_set():
                return
            if told.reason is WaitingReason.NOT_WAITING:
                self._show("")
                return
            self._show(in_one_line(told))


def _fields(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in Run.__struct_fields__}


def _about(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004  # an hour
