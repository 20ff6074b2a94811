# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every template of the endpoint table is found by its path, and nothing else is."""

from __future__ import annotations

import pytest

from animus_contracts.endpoint import Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_control.api.routing import Routes

VALUES = {"digest": "sha256:" + "a" * 64}


def all_routes() -> Routes[str]:
    routes: Routes[str] = Routes()
    for endpoint in ENDPOINTS:
        routes.add(endpoint.method, endpoint.url, endpoint.operation)
    return routes


class Filled(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return VALUES.get(name, f"the-{name}")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_every_endpoint_is_found_with_its_parameters(endpoint: Endpoint) -> None:
    values = Filled()
    found = all_routes().match(endpoint.url.format_map(values))
    assert found is not None
    assert found.methods[endpoint.method] == endpoint.operation
    assert {name: values[name] for name in found.parameters} == found.parameters
    assert all(f"{{{name}}}" in endpoint.path for name in found.parameters)


PATHS = {
    "encoded slash stays in its segment": ("/api/v1/projects/a%2Fb", {"project": "a/b"}),
    "encoded verb is the verb": ("/api/v1/projects/demo%3Aarchive", {"project": "demo"}),
    "unknown verb is part of the name": ("/api/v1/projects/demo:delete", {"project": "demo:delete"}),
    "a verb needs a name": ("/api/v1/projects/:archive", {"project": ":archive"}),
    "unicode": ("/api/v1/projects/%C3%A9", {"project": "é"}),
}


@pytest.mark.parametrize(("path", "parameters"), PATHS.values(), ids=PATHS)
def test_a_segment_is_read_literally(path: str, parameters: dict[str, str]) -> None:
    found = all_routes().match(path)
    assert found is not None
    assert found.parameters == parameters


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/api/v1", "/api/v1/", "/api/v1/projects/", "/api/v1/projects//runs", "/api/v2/projects",
        "api/v1/projects",
        "/api/v1/projects/demo/runs/", "/api/v1/projects/a%00b", "/api/v1/projects/a%0Ab", "/api/v1/projects/%ff",
        "/api/v1/projects/demo/unknown", "http://evil.example/api/v1/projects",
        "//api/v1/projects", "/api/v1/../v1/projects",
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_not_found(path: str) -> None:
    assert all_routes().match(path) is None


def test_a_route_that_exists_cannot_be_added_again() -> None:
    routes: Routes[str] = Routes()
    routes.add("GET", "/a/{b}", "one")
    routes.add("POST", "/a/{b}", "two")
    with pytest.raises(RuntimeError, match="twice"):
        routes.add("GET", "/a/{b}", "three")
