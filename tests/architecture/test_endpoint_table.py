# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The endpoint table is complete and consistent; a row that leaves something open is noticed."""

from __future__ import annotations

import msgspec
import pytest

from animus_contracts.endpoint import Caller
from animus_contracts.endpoints import BY_OPERATION, ENDPOINTS
from animus_contracts.permissions import Permission
from animus_control.api.application import EVENTS
from animus_control.domain.permissions import REQUIRED_ROLE
from animus_control.services import catalogue
from tests.architecture.endpoint_rules import table_faults, unanswered, unused_permissions

SUBMIT, LIST, READ = BY_OPERATION["runs.submit"], BY_OPERATION["runs.list"], BY_OPERATION["projects.read"]
UPDATE, LEASE = BY_OPERATION["projects.update"], BY_OPERATION["executions.lease"]
CHAIN = BY_OPERATION["audit_chain.read"]


def test_every_endpoint_is_decided() -> None:
    assert table_faults(ENDPOINTS) == []


def test_every_operation_is_answered_by_exactly_one_function() -> None:
    assert unanswered(ENDPOINTS, registered=catalogue.OPERATIONS, streamed=EVENTS) == []


def test_every_permission_is_given_to_some_role() -> None:
    assert set(REQUIRED_ROLE) == set(Permission)


def test_every_permission_protects_something() -> None:
    assert unused_permissions(ENDPOINTS) == []


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (SUBMIT, {"summary": ""}),
        (SUBMIT, {"path": "/projects/{project}/Runs"}),
        (SUBMIT, {"permission": None}),
        (SUBMIT, {"permission": Permission.RUN_READ}),
        (SUBMIT, {"keyed": False}),
        (SUBMIT, {"status": 302}),
        (LIST, {"permission": Permission.RUN_SUBMIT}),
        (LIST, {"keyed": True}),
        (LIST, {"response": None}),
        (LIST, {"request": msgspec.Struct}),
        (UPDATE, {"matches": False}),
        (LEASE, {"path": "/queue"}),
        (CHAIN, {"platform_admin": False}),
        (CHAIN, {"permission": Permission.AUDIT_READ}),
    ],
)
def test_undecided_row_is_noticed(row: object, change: dict[str, object]) -> None:
    assert table_faults([row]) == []
    assert table_faults([msgspec.structs.replace(row, **change)]) != []


def test_two_rows_for_one_route_are_noticed() -> None:
    twin = msgspec.structs.replace(
        READ, operation="projects.twin", path="/projects/{name}", permission=None, platform_admin=True
    )

    assert table_faults([READ, twin]) == ["GET /projects/{}: routed twice"]


def test_permission_that_protects_nothing_is_noticed() -> None:
    rows = [row for row in ENDPOINTS if row.permission is not Permission.RUN_CANCEL]

    assert unused_permissions(rows) == ["run:cancel: no endpoint asks for it"]


def test_operation_without_a_function_is_noticed() -> None:
    assert unanswered([READ, LIST], registered=["projects.read"], streamed=[]) == ["runs.list: nothing answers it"]
    assert unanswered([READ], registered=["projects.read"], streamed=["projects.read"]) != []
    assert unanswered([READ], registered=["projects.read", "projects.spell"], streamed=[]) != []


def test_data_plane_never_takes_a_users_credential() -> None:
    callers = {row.operation: row.caller for row in ENDPOINTS if row.path.startswith(("/leases", "/executions"))}

    assert set(callers.values()) == {Caller.EXECUTOR, Caller.RUN}
