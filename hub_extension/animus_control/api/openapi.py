# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document is generated from the endpoint table and the contracts, when the server starts.

Nothing is described by hand, so nothing can be described wrongly: paths, parameters, bodies, answers and credentials
all come from what the server itself runs on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from animus_contracts import API_PREFIX
from animus_contracts.endpoint import Body, Caller, Endpoint
from animus_contracts.problems import PROBLEM_MEDIA_TYPE, Problem
from animus_control.api.handler import Handler, encode

VERSION = "1.0.0"

_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_REF = "#/components/schemas/{name}"
_DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_SECURITY: Mapping[Caller, list[dict[str, list[str]]]] = {
    Caller.ANYONE: [],
    Caller.USER: [{"hub_token": []}],
    Caller.EXECUTOR: [{"executor_token": []}],
    Caller.RUN: [{"run_token": []}],
}
_SCHEMES = {
    "hub_token": "A token of the Hub; its scopes are the most it may do.",
    "executor_token": "The token an executor was installed with.",
    "run_token": "A token for one attempt at one run.",
}


class OpenApiHandler(Handler):
    """Serves the document."""

    operation = "openapi"

    document: Mapping[str, Any]

    def get(self) -> None:
        """Answer with the document."""
        self.set_header("Content-Type", Body.JSON.value)
        self.finish(encode(self.document))


def build_document(endpoints: Sequence[Endpoint], *, prefix: str = "/") -> dict[str, Any]:
    """Build the document.

    Args:
        endpoints: The endpoint table.
        prefix: Path below which the server is reached.
    """
    types = _types(endpoints)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Animus Datalab", "version": VERSION, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": prefix.rstrip("/") + API_PREFIX}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": text} for name, text in _SCHEMES.items()
            },
        },
    }


def _types(endpoints: Iterable[Endpoint]) -> list[Any]:
    found = {repr(Problem): Problem}
    for endpoint in endpoints:
        found.update({repr(kind): kind for kind in (endpoint.request, endpoint.response, endpoint.query) if kind})
    return list(found.values())


def _operation(
    endpoint: Endpoint, by_type: Mapping[str, dict[str, Any]], components: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        "tags": [endpoint.operation.partition(".")[0]],
        "security": _SECURITY[endpoint.caller],
        "parameters": [
            *_path_parameters(endpoint),
            *_query_parameters(endpoint, by_type, components),
            *_headers(endpoint),
        ],
        "responses": {
            str(endpoint.status): _success(endpoint, by_type),
            "default": {
                "description": "A problem (RFC 9457); its code says which",
                "content": {PROBLEM_MEDIA_TYPE: {"schema": by_type[repr(Problem)]}},
            },
        },
    }
    if endpoint.keyed:
        operation["responses"]["200"] = _success(endpoint, by_type) | {"description": "The answer given before"}
    if endpoint.operation == "runs.events":
        operation["responses"]["204"] = {"description": "The run has ended and the reader has seen everything"}
    body = _request_body(endpoint, by_type)
    if body:
        operation["requestBody"] = body
    if endpoint.permission:
        operation["x-permission"] = endpoint.permission.value
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _DIGEST if name == "digest" else {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(
    endpoint: Endpoint, by_type: Mapping[str, dict[str, Any]], components: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = components[by_type[repr(endpoint.query)]["$ref"].rpartition("/")[2]]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(member)}
        for name, member in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what a query can say: an absent parameter is how it says null."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    return options[0] if len(options) == 1 else {name: item for name, item in schema.items() if name != "default"}


def _headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    headers = []
    if endpoint.keyed:
        pattern = {"type": "string", "pattern": "^[!-~]{1,255}$"}
        headers.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "schema": pattern,
                "description": "New for each new request, the same for its repetition. Keys in order of time, such as"
                " UUIDv7, are looked up and stored fastest.",
            }
        )
    if endpoint.matches:
        tag = {"type": "string", "pattern": '^"[0-9]{1,15}"$'}
        headers.append({"name": "If-Match", "in": "header", "required": True, "schema": tag})
    if endpoint.produces is Body.EVENTS:
        number = {"type": "string", "pattern": "^[0-9]{1,18}$"}
        headers.append({"name": "Last-Event-ID", "in": "header", "required": False, "schema": number})
    return headers


def _success(endpoint: Endpoint, by_type: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.response is not None:
        answer["content"] = {Body.JSON.value: {"schema": by_type[repr(endpoint.response)]}}
    elif endpoint.produces is not Body.NONE:
        answer["content"] = {endpoint.produces.value: {"schema": {"type": "string"}}}
    return answer


def _request_body(endpoint: Endpoint, by_type: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if endpoint.consumes is Body.BYTES:
        return {"required": True, "content": {Body.BYTES.value: {"schema": {"type": "string", "format": "binary"}}}}
    if endpoint.consumes is Body.JSON and endpoint.request is not None:
        return {"required": True, "content": {Body.JSON.value: {"schema": by_type[repr(endpoint.request)]}}}
    if endpoint.consumes is Body.JSON:
        nothing = {"type": "object", "additionalProperties": False}
        return {"required": False, "content": {Body.JSON.value: {"schema": nothing}}}
    return {}
