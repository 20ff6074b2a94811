# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests nobody thought of, generated from the OpenAPI document: never a 5xx, always what the document says.

Deterministic (the seed is fixed) and bounded in number, so that a finding can be repeated.
"""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from animus_contracts.endpoint import Body, Caller
from animus_contracts.endpoints import BY_OPERATION, ENDPOINTS
from animus_control.api.openapi import build_document
from tests.api.conftest import EXECUTOR_TOKEN, Server
from tests.api.world import World, populate, start

EXAMPLES = 12
STREAMED = {endpoint.operation for endpoint in ENDPOINTS if endpoint.produces is Body.EVENTS}
WAITING = {
    endpoint.operation
    for endpoint in ENDPOINTS
    if endpoint.request is not None and "wait_seconds" in getattr(endpoint.request, "__struct_fields__", ())
}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(build_document(ENDPOINTS)).exclude(operation_id=sorted(STREAMED))


@pytest.fixture(scope="module")
def world(server: Server, project: str) -> World:
    world = populate(server, project)
    start(world)
    return world


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_no_request_breaks_the_server_and_every_answer_is_as_described(
    case: schemathesis.Case, server: Server, world: World
) -> None:
    endpoint = BY_OPERATION[case.operation.definition.raw["operationId"]]
    for name, value in case.path_parameters.items():
        if name in world.path and len(str(value)) % 3:  # mostly what exists, so that requests get beyond the lookup
            case.path_parameters[name] = world.path[name]
    token = {Caller.USER: "root", Caller.EXECUTOR: EXECUTOR_TOKEN, Caller.RUN: world.run_token}[endpoint.caller]
    if endpoint.operation in WAITING and isinstance(case.body, dict):
        case.body["wait_seconds"] = 0
    answer = case.call(base_url=server.url + "api/v1", headers={"Authorization": f"Bearer {token}"})
    case.validate_response(answer, checks=CHECKS)
