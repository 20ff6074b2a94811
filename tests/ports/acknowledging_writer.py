# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes datasets without end and prints each name once it is durable; started by the test that kills it."""

from __future__ import annotations

import sys

from animus_control.storage.engine import open_database
from tests.ports.records_of_a_project import a_dataset, audit_record


def main(url: str, first: int) -> None:
    """Keep a few pieces in flight, so that commits are groups, and acknowledge in order."""
    database = open_database(url)
    flying = []
    for number in range(first, first + 1_000_000):
        dataset = a_dataset(number, f"d{number}")
        flying.append(
            (
                dataset.name,
                database.write(lambda uow, d=dataset: (uow.datasets.add(d), uow.audit.append(audit_record()))),
            )
        )
        if len(flying) == 8:
            name, future = flying.pop(0)
            future.result()
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
