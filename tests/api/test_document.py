# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Document, routes, operations and permissions are one table seen from four sides."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from animus_contracts.endpoint import Body, Caller, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.permissions import Permission
from animus_control.api.application import BYTES, EVENTS, IncompleteEndpointError, verify_complete
from animus_control.api.locations import LOCATIONS
from animus_control.api.openapi import build_document
from animus_control.domain.permissions import REQUIRED_ROLE
from animus_control.services.catalogue import OPERATIONS
from tests.api.conftest import PREFIX, Server

DOCUMENT = build_document(ENDPOINTS, prefix=PREFIX)


def operation(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    return found


def test_the_served_document_is_the_generated_one(server: Server) -> None:
    assert httpx.get(server.url + "api/v1/openapi.json").json() == DOCUMENT


def test_the_document_has_exactly_the_operations_of_the_table() -> None:
    documented = {one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()}
    assert documented == {endpoint.operation for endpoint in ENDPOINTS}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_an_endpoint_is_described_as_it_is_served(endpoint: Endpoint) -> None:
    described = operation(endpoint)
    names = {(parameter["in"], parameter["name"]) for parameter in described["parameters"]}
    assert (("header", "Idempotency-Key") in names) is endpoint.keyed
    assert (("header", "If-Match") in names) is endpoint.matches
    assert described.get("x-permission") == endpoint.permission
    assert str(endpoint.status) in described["responses"]
    assert ("requestBody" in described) is (endpoint.consumes is not Body.NONE)
    assert bool(described["security"]) is (endpoint.caller is not Caller.ANYONE)
    if endpoint.query is not None:
        fields = {("query", field.encode_name) for field in msgspec.structs.fields(endpoint.query)}
        assert {name for name in names if name[0] == "query"} == fields


def test_every_reference_in_the_document_leads_somewhere() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(item) for item in value.values()))
        if isinstance(value, list):
            return set().union(*(references(item) for item in value))
        return set()

    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references(DOCUMENT) <= known


def test_every_endpoint_has_exactly_one_handler() -> None:
    operations = {endpoint.operation for endpoint in ENDPOINTS}
    assert set(OPERATIONS) | set(EVENTS) == operations
    assert not set(OPERATIONS) & set(EVENTS)
    assert set(BYTES) <= set(OPERATIONS)


def test_every_permission_guards_something_and_has_its_least_role() -> None:
    assert {endpoint.permission for endpoint in ENDPOINTS} - {None} == set(Permission) == set(REQUIRED_ROLE)


def test_every_creation_has_a_location() -> None:
    assert set(LOCATIONS) == {endpoint.operation for endpoint in ENDPOINTS if endpoint.status == 201}


GOOD = Endpoint(operation="a.b", method="GET", path="/projects/{project}", summary="s", permission=Permission.RUN_READ)


@pytest.mark.parametrize(
    ("endpoint", "operations"),
    [
        (GOOD, set()),
        (msgspec.structs.replace(GOOD, permission=None), {"a.b"}),
        (msgspec.structs.replace(GOOD, summary=""), {"a.b"}),
    ],
    ids=["no operation", "no permission", "no summary"],
)
def test_an_incomplete_endpoint_keeps_the_server_from_starting(endpoint: Endpoint, operations: set[str]) -> None:
    verify_complete(GOOD, {"a.b"})
    with pytest.raises(IncompleteEndpointError):
        verify_complete(endpoint, operations)
