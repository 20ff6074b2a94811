# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Schedules: runs that come again and again, and what became of each time."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import Group
from animus_contracts.pages import ListQuery, NamedListQuery
from animus_contracts.schedules import CreateSchedule, Firing, Schedule


class Schedules(Group):
    """The project's schedules."""

    def create(self, wanted: CreateSchedule) -> Schedule:
        """Create a schedule; it acts in the caller's name from now on."""
        schedule: Schedule = self._call("schedules.create", wanted)
        return schedule

    def list(self, name: str | None = None) -> Iterator[Schedule]:
        """Yield schedules, newest first."""
        yield from self._pages("schedules.list", NamedListQuery(name=name))

    def read(self, schedule: str) -> Schedule:
        """Return a schedule, by id or name, with the next times it is due."""
        found: Schedule = self._call("schedules.read", schedule=schedule)
        return found

    def firings(self, schedule: str) -> Iterator[Firing]:
        """Yield the times at which a schedule was due, newest first."""
        yield from self._pages("firings.list", ListQuery(), schedule=schedule)

    def pause(self, schedule: str) -> Schedule:
        """Let a schedule rest."""
        paused: Schedule = self._call("schedules.pause", schedule=schedule)
        return paused

    def resume(self, schedule: str) -> Schedule:
        """Let a paused schedule go on."""
        resumed: Schedule = self._call("schedules.resume", schedule=schedule)
        return resumed

    def retire(self, schedule: str) -> Schedule:
        """End a schedule for ever."""
        retired: Schedule = self._call("schedules.retire", schedule=schedule)
        return retired
