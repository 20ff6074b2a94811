# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Schedules: let a notebook run again and again, see when, and stop it."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice

import msgspec

from animus.errors import UsageError
from animus.submission import prepare
from animus.verbs import Desk, Done
from animus.verbs.runs import wish_of
from animus_contracts.schedules import CatchUp, CreateSchedule, Firing, Overlap, Schedule

SHOWN_FIRINGS = 10


class ScheduleStory(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with what became of its last times, newest first."""

    schedule: Schedule
    firings: list[Firing]


def add(desk: Desk, given: Namespace) -> Schedule:
    """Submit a notebook again and again; after ``--`` come the arguments of ``animus run``."""
    client = desk.client()
    submission, _ = prepare(client, wish_of(_arguments(given.arguments)))
    wanted = CreateSchedule(
        name=given.name,
        cron=given.cron,
        time_zone=given.zone,
        submission=submission,
        ref=given.branch,
        overlap=Overlap(given.overlap),
        catch_up=CatchUp(given.catch_up),
    )
    return client.schedules.create(wanted)


def show_all(desk: Desk, _given: Namespace) -> list[Schedule]:
    """List schedules, newest first."""
    return list(desk.client().schedules.list())


def show(desk: Desk, given: Namespace) -> ScheduleStory:
    """Show a schedule, the next times it is due and the last ones it was."""
    schedules = desk.client().schedules
    found = schedules.read(given.name)
    return ScheduleStory(schedule=found, firings=list(islice(schedules.firings(found.schedule_id), SHOWN_FIRINGS)))


def pause(desk: Desk, given: Namespace) -> Schedule:
    """Let a schedule rest."""
    return desk.client().schedules.pause(given.name)


def resume(desk: Desk, given: Namespace) -> Schedule:
    """Let a paused schedule go on."""
    return desk.client().schedules.resume(given.name)


def remove(desk: Desk, given: Namespace) -> Done:
    """End a schedule for ever; what it has run stays."""
    retired = desk.client().schedules.retire(given.name)
    return Done(message=f"schedule {retired.name} is {retired.state}")


def _arguments(words: list[str]) -> Namespace:
    from animus.grammar import parse  # noqa: PLC0415  # the grammar names this verb

    given = parse(["run", *words])
    for name in ("watch", "dry_run"):
        if getattr(given, name, False):
            raise UsageError("usage", f"--{name.replace('_', '-')} makes no sense in a schedule")
    return given
