# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a driver reports becomes one of five things, and nothing of a driver leaves this package.

| seen | raised |
|---|---|
| a uniqueness rule | ``AlreadyExistsError`` with the rule's name |
| a CHECK, a reference or a guard | :class:`RuleBrokenError`, a programming mistake |
| a value outside the column's range, such as NUL in text | ``InvalidError("invalid_request")`` |
| no room | ``AnimusError("storage_full")`` |
| locked, lost, anything else | ``AnimusError("service_unavailable")`` |

The last two end the whole transaction, see :func:`ends_transaction`.
"""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy import Table, UniqueConstraint
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from animus_control.domain.errors import AnimusError, InvalidError
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.tables import SCHEMA

DISK_FULL = "53100"  # PostgreSQL, appendix A: disk_full
GUARD = "P0001"  # raise_exception, what a guard's function raises
NOT_UNIQUE = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"}


DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)
BROKEN_RULES = (sqlite3.IntegrityError, psycopg.IntegrityError)
UNSTORABLE = (sqlite3.DataError, psycopg.DataError)


class RuleBrokenError(RuntimeError):
    """A CHECK, a reference or a guard of the database refused a statement."""


def translate(error: BaseException | None) -> Exception:
    """Return what to raise instead of a driver's error."""
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, PoolTimeoutError):
        return AnimusError("service_unavailable", "all connections to the database are in use")
    if is_full(error):
        return AnimusError("storage_full", "the database has no room left")
    if isinstance(error, UNSTORABLE):
        return InvalidError("invalid_request", "the request holds a value that cannot be stored")
    if isinstance(error, BROKEN_RULES) or getattr(error, "sqlstate", None) == GUARD:
        rule = _unique_rule(error)
        return AlreadyExistsError(rule) if rule else RuleBrokenError(str(error).splitlines()[0])
    return AnimusError("service_unavailable", "the database cannot answer now")


def ends_transaction(error: Exception) -> bool:
    """Tell whether an error of :func:`translate` has taken everything in the transaction with it."""
    return isinstance(error, AnimusError) and not isinstance(error, InvalidError)


def is_full(cause: BaseException | None) -> bool:
    """Tell whether a driver's error means that there is no room."""
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL"
    return isinstance(cause, psycopg.Error) and cause.sqlstate == DISK_FULL


def _unique_rule(cause: BaseException | None) -> str | None:
    if isinstance(cause, psycopg.errors.UniqueViolation):
        return cause.diag.constraint_name or "unknown"
    if isinstance(cause, sqlite3.Error) and cause.sqlite_errorname in NOT_UNIQUE:
        return _SQLITE_RULES.get(str(cause).partition(": ")[2], "unknown")
    return None


def _unique_rules(table: Table) -> dict[str, str]:
    """Return the names of a table's rules by the columns with which SQLite, which forgets names, tells of them."""
    unique = [rule for rule in table.constraints if isinstance(rule, UniqueConstraint)]
    return {
        ", ".join(f"{table.name}.{column.name}" for column in rule.columns): str(rule.name)
        for rule in (*unique, table.primary_key)
    }


_SQLITE_RULES = {columns: name for table in SCHEMA.tables.values() for columns, name in _unique_rules(table).items()}
