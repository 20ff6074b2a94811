# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes datasets without end and tells each name once it is durable; run in a process of its own, to be killed."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection

from animus_contracts.audit import Action
from animus_contracts.failpoints import parse_rules
from animus_control.failpoints import POINTS, arm
from animus_control.services.ports import UnitOfWork
from animus_control.storage.engine import open_database
from tests.ports.records_of_a_project import a_dataset, audit_record

IN_FLIGHT = 8


def write_until_killed(url: str, first: int, failpoints: str, acknowledged: Connection) -> None:
    """Keep a few pieces in flight, so that commits are groups, and acknowledge in order.

    Args:
        url: The database.
        first: Number of the first dataset.
        failpoints: Faults to inject.
        acknowledged: Where names are sent to.
    """
    arm(parse_rules(failpoints, points=POINTS))
    database = open_database(url)
    flying = []
    for number in range(first, first + 1_000_000):
        name = f"d{number}"
        flying.append((name, database.write(_adding(number, name))))
        if len(flying) == IN_FLIGHT:
            told, future = flying.pop(0)
            future.result()
            acknowledged.send(told)


def _adding(number: int, name: str) -> Callable[[UnitOfWork], None]:
    record = audit_record(f"dataset:{name}", action=Action.DATASET_CREATED)

    def add(uow: UnitOfWork) -> None:
        uow.datasets.add(a_dataset(number, name))
        uow.audit.append(record)

    return add
