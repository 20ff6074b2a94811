# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The application is generated from the endpoint table; an endpoint that is not complete keeps it from starting.

Complete means: a handler (its operation is registered, or it is one of the few that carry streams), a permission
when it lies in a project, and a summary for the document.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from animus_contracts import API_PREFIX
from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_control.api.edge import Edge
from animus_control.api.events import PipelineEventsHandler, ProjectEventsHandler, RunEventsHandler
from animus_control.api.handler import Handler
from animus_control.api.health import HealthHandler, MetricsHandler, ReadinessHandler
from animus_control.api.leases import CancellationsHandler, LeaseHandler, TaskLeaseHandler
from animus_control.api.openapi import OpenApiHandler, build_document
from animus_control.api.operation import OperationHandler
from animus_control.api.parsing import body_parser
from animus_control.api.replays import ReplayHandler
from animus_control.api.routing import Routes
from animus_control.api.transfers import DownloadHandler, UploadHandler
from animus_control.domain.errors import AnimusError, MissingError
from animus_control.services import catalogue  # noqa: F401 - its import registers every operation
from animus_control.services.operations import OPERATIONS

Target = tuple[type[RequestHandler], dict[str, Any]]

EVENTS: Mapping[str, type[RequestHandler]] = {
    "pipelines.events": PipelineEventsHandler,
    "projects.events": ProjectEventsHandler,
    "runs.events": RunEventsHandler,
}
"""Endpoints that go on telling; what they tell is not the answer of an operation."""

BYTES: Mapping[str, type[RequestHandler]] = {
    "artifacts.download": DownloadHandler,
    "dataset_versions.download": DownloadHandler,
    "executions.input": DownloadHandler,
    "executions.put_object": UploadHandler,
    "objects.put": UploadHandler,
    "tasks.object": DownloadHandler,
}
"""Operations about bytes, which stream past while the operation decides."""

SPECIAL: Mapping[str, type[OperationHandler]] = {
    "executions.cancellations": CancellationsHandler,
    "executions.lease": LeaseHandler,
    "runs.replay": ReplayHandler,
    "tasks.lease": TaskLeaseHandler,
}
"""Operations whose answer waits for something: for work to be done, or for the object store."""


class IncompleteEndpointError(RuntimeError):
    """An endpoint lacks its handler, its permission or its document."""


def verify_complete(endpoint: Endpoint, operations: Collection[str]) -> None:
    """Check that an endpoint can be served.

    Raises:
        IncompleteEndpointError: Naming what is missing.
    """
    missing = []
    if endpoint.operation not in EVENTS and endpoint.operation not in operations:
        missing.append("an operation")
    if endpoint.project_scoped and endpoint.caller is Caller.USER and endpoint.permission is None:
        missing.append("a permission")
    if not endpoint.summary:
        missing.append("a summary")
    if missing:
        message = f"{endpoint.operation} has not {' or '.join(missing)}"
        raise IncompleteEndpointError(message)


class RefusedHandler(Handler):
    """Answers requests that lead nowhere."""

    error: AnimusError
    allow: str = ""

    def refuse(self) -> None:
        """Refuse."""
        raise self.error

    get = head = post = put = patch = delete = options = refuse

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say which methods there are, where the path is right."""
        if self.allow:
            self.set_header("Allow", self.allow)
        super().write_error(status_code, **kwargs)


class AnimusApplication(Application):
    """Routes by the endpoint table.

    Args:
        edge: The surroundings.
        pages: Further routes: template below the prefix, handler, keyword arguments.
        endpoints: The table; another one only in tests.
        operations: The register of operations.
        cookie_secret: What cookies are signed with; the same in all processes that serve one address.
        settings: Settings for tornado and the Hub's OAuth client.
    """

    def __init__(
        self,
        edge: Edge,
        *,
        pages: Sequence[tuple[str, type[RequestHandler], dict[str, Any]]] = (),
        endpoints: Sequence[Endpoint] = ENDPOINTS,
        operations: Collection[str] = OPERATIONS.keys(),
        cookie_secret: bytes | None = None,
        **settings: Any,
    ) -> None:
        secret = cookie_secret or secrets.token_bytes(32)
        super().__init__(log_function=lambda _handler: None, cookie_secret=secret, **settings)
        self._edge = edge
        self._routes: Routes[Callable[[Mapping[str, str]], Target]] = Routes()
        for endpoint in endpoints:
            verify_complete(endpoint, operations)
            self._add(endpoint.method, endpoint.url, self._serve(endpoint))
        document = build_document(endpoints, prefix=edge.prefix)
        self._add("GET", f"{API_PREFIX}/openapi.json", _fixed(OpenApiHandler, edge=edge, document=document))
        for path, handler in (("/healthz", HealthHandler), ("/readyz", ReadinessHandler), ("/metrics", MetricsHandler)):
            self._add("GET", path, _fixed(handler, edge=edge))
        for path, page, kwargs in pages:
            self._add("GET", path, _fixed(page, edge=edge, **kwargs))

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:  # noqa: ARG002 - tornado's signature
        """Find the handler of a request: a path that leads nowhere is 404, a wrong method 405."""
        found = self._routes.match(request.path)
        if found is None:
            refusal: dict[str, Any] = {"edge": self._edge, "error": MissingError("not_found")}
            return self.get_handler_delegate(request, RefusedHandler, refusal)
        build = found.methods.get(request.method or "")
        if build is None:
            allow = ", ".join(sorted(found.methods))
            refusal = {"edge": self._edge, "error": AnimusError("method_not_allowed"), "allow": allow}
            return self.get_handler_delegate(request, RefusedHandler, refusal)
        handler, arguments = build(found.parameters)
        return self.get_handler_delegate(request, handler, arguments)

    def _add(self, method: str, path: str, build: Callable[[Mapping[str, str]], Target]) -> None:
        self._routes.add(method, self._edge.prefix.rstrip("/") + path, build)

    def _serve(self, endpoint: Endpoint) -> Callable[[Mapping[str, str]], Target]:
        shared: dict[str, Any] = {"edge": self._edge, "endpoint": endpoint, "operation": endpoint.operation}
        handler = EVENTS.get(endpoint.operation) or BYTES.get(endpoint.operation)
        if handler is None:
            handler = SPECIAL.get(endpoint.operation, OperationHandler)
            shared["parse"] = body_parser(endpoint.request)
        return lambda path: (handler, {**shared, "parameters": path})


def _fixed(handler: type[RequestHandler], **arguments: Any) -> Callable[[Mapping[str, str]], Target]:
    return lambda _path: (handler, arguments)
