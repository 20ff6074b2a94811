# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of the grammar for what a project allows, who agrees, and what comes again by itself."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from animus.verbs import approvals, policies, schedules
from animus.verbs.account import existing_file
from animus_contracts.approvals import ApprovalState
from animus_contracts.schedules import CatchUp, Overlap
from animus_contracts.simulations import DEFAULT_DECISIONS

AddVerb = Callable[[Any, str, Callable[..., Any]], ArgumentParser]
AddNoun = Callable[[Any, str, str], Any]


def declare(verbs: Any, verb: AddVerb, noun: AddNoun) -> None:
    """Add the verbs.

    Args:
        verbs: Where they are added.
        verb: Adds a verb.
        noun: Adds a noun that has verbs of its own.
    """
    _policies(verbs, verb, noun)
    _approvals(verbs, verb)
    _schedules(verbs, verb, noun)


def _policies(verbs: Any, verb: AddVerb, noun: AddNoun) -> None:
    verb(verbs, "policies", policies.show_all)
    policy = noun(verbs, "policy", "Policies of the project")
    put = verb(policy, "put", policies.put)
    put.add_argument("name")
    put.add_argument("file", type=existing_file, help="Cedar text")
    put.add_argument("--description", default="")
    put.add_argument("--disabled", action="store_true", help="store it without effect")
    verb(policy, "show", policies.show).add_argument("name")
    simulate = verb(policy, "simulate", policies.simulate)
    simulate.add_argument("file", type=existing_file, help="Cedar text")
    simulate.add_argument("--name", default="", help="policy that it would replace; the file's name when absent")
    simulate.add_argument("--since", default="", metavar="TIME", help="such as 30d, 12h or a date; all when absent")
    simulate.add_argument("--limit", type=int, default=DEFAULT_DECISIONS, help="submissions (default: %(default)s)")


def _approvals(verbs: Any, verb: AddVerb) -> None:
    shown = verb(verbs, "approvals", approvals.show_all)
    shown.add_argument("--state", default=ApprovalState.PENDING, choices=[*map(str, ApprovalState)])
    shown.add_argument("--all", action="store_true", help="in whatever state")
    shown.add_argument("--everywhere", action="store_true", help="in all projects where you may decide")
    shown.add_argument("--limit", type=int, default=20)
    approve, refuse = verb(verbs, "approve", approvals.approve), verb(verbs, "refuse", approvals.refuse)
    for parser in (approve, refuse):
        parser.add_argument("run")
    approve.add_argument("--comment", default="")
    refuse.add_argument("--comment", required=True, help="why")


def _schedules(verbs: Any, verb: AddVerb, noun: AddNoun) -> None:
    verb(verbs, "schedules", schedules.show_all)
    schedule = noun(verbs, "schedule", "Runs that come again and again")
    add = verb(schedule, "add", schedules.add)
    add.add_argument("name")
    add.add_argument("--cron", required=True, metavar="FIELDS", help='such as "0 6 * * 1-5"')
    add.add_argument("--zone", default="UTC", help="time zone of the times (default: %(default)s)")
    add.add_argument("--branch", default="", help="run its commit of that moment, instead of today's")
    add.add_argument("--overlap", default=Overlap.SKIP, choices=[*map(str, Overlap)])
    add.add_argument("--catch-up", default=CatchUp.NONE, choices=[*map(str, CatchUp)])
    add.add_argument("arguments", nargs="*", metavar="-- RUN", help="as after animus run")
    for each in (schedules.show, schedules.pause, schedules.resume, schedules.remove):
        verb(schedule, each.__name__, each).add_argument("name")
