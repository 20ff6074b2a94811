# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The register of operations: each endpoint's operation name leads to exactly one function.

``(unit of work, call, message) -> answer``: ``message`` is the decoded body or query. An operation runs after
``access.enter`` has authorised it and has set ``call.project``; it raises domain errors and never commits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from animus_contracts.endpoints import BY_OPERATION
from animus_control.services.calls import Call
from animus_control.services.ports import UnitOfWork

Function = TypeVar("Function", bound=Callable[[UnitOfWork, Call, Any], Any])

OPERATIONS: dict[str, Callable[[UnitOfWork, Call, Any], Any]] = {}


def operation(name: str) -> Callable[[Function], Function]:
    """Register a function as the operation ``name`` of the endpoint table.

    Raises:
        RuntimeError: If the table has no such operation or it is registered twice.
    """
    if name not in BY_OPERATION or name in OPERATIONS:
        message = f"{name!r} is not in the endpoint table, or registered twice"
        raise RuntimeError(message)

    def register(function: Function) -> Function:
        OPERATIONS[name] = function
        return function

    return register
