# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What drivers report is told in our words: a table over everything that was seen."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from animus_control.domain.errors import AnimusError
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.failures import RuleBrokenError, ends_transaction, translate


def sqlite_error(kind: type[sqlite3.Error], name: str, text: str = "") -> sqlite3.Error:
    error = kind(text)
    error.sqlite_errorname = name
    return error


UNIQUE = sqlite_error(sqlite3.IntegrityError, "SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: projects.name")
KEY = sqlite_error(
    sqlite3.IntegrityError, "SQLITE_CONSTRAINT_PRIMARYKEY",
    "UNIQUE constraint failed: runs.project_id, runs.run_id",
)  # fmt: skip
CHECK = sqlite_error(sqlite3.IntegrityError, "SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: ck_runs_state")
GUARD = sqlite_error(sqlite3.IntegrityError, "SQLITE_CONSTRAINT_TRIGGER", "DELETE on runs is refused")
FULL = sqlite_error(sqlite3.OperationalError, "SQLITE_FULL", "database or disk is full")
BUSY = sqlite_error(sqlite3.OperationalError, "SQLITE_BUSY", "database is locked")


@pytest.mark.parametrize(
    ("seen", "told", "word", "lost"),
    [
        (UNIQUE, AlreadyExistsError, "uq_projects_name", False),
        (KEY, AlreadyExistsError, "pk_runs", False),
        (CHECK, RuleBrokenError, "CHECK constraint failed: ck_runs_state", False),
        (GUARD, RuleBrokenError, "DELETE on runs is refused", False),
        (FULL, AnimusError, "storage_full", True),
        (BUSY, AnimusError, "service_unavailable", True),
        (OperationalError("BEGIN", {}, BUSY), AnimusError, "service_unavailable", True),
        (PoolTimeoutError(), AnimusError, "service_unavailable", True),
        (psycopg.errors.UniqueViolation("x"), AlreadyExistsError, "unknown", False),
        (psycopg.errors.CheckViolation("broken"), RuleBrokenError, "broken", False),
        (
            psycopg.errors.RaiseException("DELETE on runs is refused"),
            RuleBrokenError,
            "DELETE on runs is refused",
            False,
        ),
        (psycopg.errors.DiskFull("x"), AnimusError, "storage_full", True),
        (psycopg.errors.DeadlockDetected("x"), AnimusError, "service_unavailable", True),
        (psycopg.OperationalError("server closed the connection"), AnimusError, "service_unavailable", True),
        (psycopg.DataError("NUL"), AnimusError, "invalid_request", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_driver_error_is_told_in_our_words(seen: Exception, told: type[Exception], word: str, *, lost: bool) -> None:
    error = translate(seen)
    assert isinstance(error, told)
    assert (error.code if isinstance(error, AnimusError) else str(error)) == word
    assert ends_transaction(error) is lost
