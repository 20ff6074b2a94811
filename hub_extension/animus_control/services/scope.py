# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Inside a project: the project a call was authorised for, and its records by id or name, or the same refusal."""

from __future__ import annotations

from typing import TypeVar

from animus_contracts.projects import Project
from animus_control.domain.errors import MissingError
from animus_control.services.calls import Call
from animus_control.services.repositories import Readable

T = TypeVar("T")


def project_of(call: Call) -> Project:
    """Return the project the call was authorised for.

    Raises:
        RuntimeError: If the operation was entered without one, which is a mistake in the endpoint table.
    """
    if call.project is None:
        raise RuntimeError("the operation needs a project, and its endpoint has none")
    return call.project


def require(found: T | None, what: str, code: str = "not_found") -> T:
    """Return a record that must be there.

    Raises:
        MissingError: If it is None; the answer does not tell whether another project has it.
    """
    if found is None:
        raise MissingError(code, f"There is no such {what} in this project.")
    return found


def by_id(call: Call, records: Readable[T], key: str, what: str, code: str = "not_found") -> T:
    """Return the record named by a path parameter."""
    return require(records.get(project_of(call).project_id, call.path[key]), what, code)


def by_id_or_name(call: Call, records: Readable[T], key: str, what: str, code: str = "not_found") -> T:
    """Return the record whose id, or else whose name, a path parameter gives; of versions the newest."""
    project_id, ref = project_of(call).project_id, call.path[key]
    return require(records.get(project_id, ref) or records.find(project_id, name=ref), what, code)
