# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What every row of the endpoint table must say, and what must stand behind it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from animus_contracts.endpoint import Body, Caller, Endpoint
from animus_contracts.permissions import Permission

PATH_PARAMETER = re.compile(r"{([a-z_]+)}")
PATH = re.compile(r"(?:/(?:[a-z]+(?:-[a-z]+)*|{[a-z_]+}))+(?::[a-z]+)?")

OPEN_TO_ALL_USERS = {"approvals.inbox", "identity.read", "projects.list"}
"""Operations of users without a project: they show only what the caller is or may see."""


def table_faults(endpoints: Sequence[Endpoint]) -> list[str]:
    """Find rows that leave something undecided, contradict themselves or each other."""
    faults = [f"{name}: named twice" for name, count in Counter(e.operation for e in endpoints).items() if count > 1]
    routes = Counter(f"{e.method} {PATH_PARAMETER.sub('{}', e.path)}" for e in endpoints)
    faults += [f"{route}: routed twice" for route, count in routes.items() if count > 1]
    return faults + [f"{endpoint.operation}: {fault}" for endpoint in endpoints for fault in _row_faults(endpoint)]


def _row_faults(row: Endpoint) -> Iterable[str]:
    is_user = row.caller is Caller.USER
    checks = {
        "has no summary": not row.summary or row.summary.endswith("."),
        "its path is not in the grammar of paths": not PATH.fullmatch(row.path),
        "happens in a project and asks for no permission": row.project_scoped and row.permission is None,
        "asks for a project's permission outside of any project": not row.project_scoped and row.permission is not None,
        "is open to every user": is_user
        and not (row.permission or row.platform_admin or row.operation in OPEN_TO_ALL_USERS),
        "a data plane operation must be below its own resource": row.caller in {Caller.EXECUTOR, Caller.RUN}
        and not row.path.startswith(("/leases", "/executions/{execution}", "/tasks")),
        "a user's POST takes an Idempotency-Key": is_user and row.method == "POST" and not row.keyed,
        "only a POST takes an Idempotency-Key": row.keyed and row.method != "POST",
        "a PATCH needs If-Match": row.method == "PATCH" and not row.matches,
        "a GET takes no body": row.method == "GET" and (row.request is not None or row.consumes is not Body.NONE),
        "only a GET takes a query": row.query is not None and row.method != "GET",
        "a JSON answer has a type": row.produces is Body.JSON and row.response is None,
        "a write asks for no write permission": row.is_write
        and row.permission is not None
        and row.permission.endswith(":read"),
        "a read asks for a write permission": not row.is_write
        and row.permission is not None
        and not row.permission.endswith(":read"),
        "its status is not a success": row.status not in {200, 201, 204},
    }
    return (fault for fault, is_there in checks.items() if is_there)


def unused_permissions(endpoints: Sequence[Endpoint]) -> list[str]:
    """Find permissions that protect nothing, and a list out of order."""
    used = {endpoint.permission for endpoint in endpoints}
    faults = [f"{permission}: no endpoint asks for it" for permission in Permission if permission not in used]
    values = [permission.value for permission in Permission]
    return faults + ([] if values == sorted(values) else ["permissions are not in alphabetical order"])


def unanswered(endpoints: Sequence[Endpoint], *, registered: Iterable[str], streamed: Iterable[str]) -> list[str]:
    """Find operations that no function answers, or that two kinds of function do."""
    registered, streamed = set(registered), set(streamed)
    names = {endpoint.operation for endpoint in endpoints}
    return (
        [f"{name}: nothing answers it" for name in sorted(names - registered - streamed)]
        + [f"{name}: answered twice" for name in sorted(registered & streamed)]
        + [f"{name}: answered, but not in the table" for name in sorted((registered | streamed) - names)]
    )
