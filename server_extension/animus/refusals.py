# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Refusals of the control plane become typed errors, here and nowhere else.

What is not a problem document of ours (a proxy's page, a cut answer) is never quoted: only its status is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import httpx
import msgspec

from animus.errors import AnimusError, RefusedError, UnreachableError
from animus_contracts.decoding import decode_json
from animus_contracts.problems import Problem

NAME_SHOWN = 80
NOWHERE: Mapping[str, str] = MappingProxyType({})
NOT_NOW = frozenset({429, 502, 503, 504, 507})

# The way out, for codes whose problem document names none.
REMEDIES = {
    "duplicate_content": "use the version that exists; `animus dataset show NAME` lists them",
    "environment_archived": "choose another environment, or define a new version of it",
    "environment_lock_not_found": "animus env list",
    "environment_not_found": "animus env list",
    "dataset_version_not_found": "animus dataset list",
    "forbidden": "ask an administrator of the project for the role",
    "not_found": "check the name and the project; what you may not see looks like what is not there",
    "project_archived": "ask an administrator to unarchive the project",
    "resource_limit_exceeded": "ask for less, or define the environment with higher limits",
    "run_terminal": "submit a new run",
    "secret_in_parameters": "pass secrets as references, never as parameters",
    "service_unavailable": "wait a moment and repeat; repeating is safe",
    "storage_full": "tell the administrator of the Hub, and repeat when there is room; repeating is safe",
    "unauthenticated": "log in again: animus login URL (in a workspace: restart it from the Hub)",
}


def problem_of(reply: httpx.Response, path: Mapping[str, str] = NOWHERE) -> AnimusError:
    """Build the error that an answer with an error status stands for.

    The control plane tells nobody which of the names in a path it did not find, so that names cannot be probed; the
    caller knows what was asked for (``path``) and is reminded of it.
    """
    try:
        problem = decode_json(reply.content, Problem)
    except msgspec.MsgspecError:
        return _stranger(reply.status_code)
    error: AnimusError
    kind = UnreachableError if problem.retryable or reply.status_code in NOT_NOW else RefusedError
    error = kind(
        problem.code,
        (problem.detail or problem.title) + (_asked(path) if problem.code == "not_found" else ""),
        remedy=problem.remedy or REMEDIES.get(problem.code, ""),
        faults=problem.errors,
        request_id=problem.request_id,
    )
    if isinstance(error, UnreachableError):
        error.retry_after = _seconds(reply.headers.get("Retry-After", ""))
    return error


def _asked(path: Mapping[str, str]) -> str:
    named = ", ".join(f"{kind} {name[:NAME_SHOWN]!r}" for kind, name in path.items())
    return f" Asked for: {named}." if named else ""


def _stranger(status: int) -> AnimusError:
    if status in NOT_NOW or status >= 500:  # noqa: PLR2004  # RFC 9110, section 15.6
        return UnreachableError("service_unavailable", f"status {status}", remedy=REMEDIES["service_unavailable"])
    if status in {401, 403}:
        return RefusedError("unauthenticated", f"status {status}", remedy=REMEDIES["unauthenticated"])
    return RefusedError("unexpected_answer", f"status {status} from something that is not the control plane")


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0
