# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Passing one request on: what goes up and what comes back are allow-lists, bytes and events are streamed.

Cookies and the browser's own credentials stay here; the control plane sees the workspace's token, which stands for the
user. Bytes that a run produced come back as a download in a sandbox, never as a page of this origin.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
from tornado.iostream import StreamClosedError

from animus_contracts import API_PREFIX
from animus_contracts.endpoint import Body, Endpoint
from animus_contracts.problems import CODES, PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_BASE, Problem
from animus_server.control_plane import ControlPlane, endpoint_of

SENT_HEADERS = ("Accept", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "X-Request-Id")
RETURNED_HEADERS = (
    "Content-Type", "Content-Length", "ETag", "Idempotent-Replay", "Retry-After", "X-Accel-Buffering", "X-Request-Id",
)  # fmt: skip
TIMEOUT = httpx.Timeout(45.0, connect=5.0)  # streams say something at least every 15 seconds
DOWNLOAD_HEADERS = {
    "Content-Type": str(Body.BYTES),
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


async def relay(handler: Any, plane: ControlPlane, path: str) -> None:
    """Pass the handler's request on to the control plane and its answer back.

    Args:
        handler: The Tornado handler that was called.
        plane: The control plane.
        path: The request's path below the extension's root.
    """
    endpoint = endpoint_of(handler.request.method, path)
    if endpoint is None:
        refuse(handler, "not_found", "there is no such operation for users")
    elif not plane.url:
        refuse(handler, "service_unavailable", "no control plane is known to this server (ANIMUS_URL)")
    else:
        await _pass(handler, plane, endpoint, path)


def refuse(handler: Any, code: str, detail: str) -> None:
    """Answer with a problem of our own."""
    known = CODES[code]
    problem = Problem(
        type=PROBLEM_TYPE_BASE + code, title=known.title, status=known.status, code=code, detail=detail,
        retryable=known.retryable,
    )  # fmt: skip
    handler.set_status(known.status)
    handler.set_header("Content-Type", PROBLEM_MEDIA_TYPE)
    handler.finish(msgspec.json.encode(problem))


async def _pass(handler: Any, plane: ControlPlane, endpoint: Endpoint, path: str) -> None:
    headers = {name: value for name in SENT_HEADERS if (value := handler.request.headers.get(name))}
    headers["Accept-Encoding"] = "identity"  # lengths are passed on as they are
    headers["Authorization"] = plane.authorization()
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        request = client.build_request(
            endpoint.method, f"{plane.url}/{path}", params=handler.request.query, headers=headers,
            content=handler.request.body or None,
        )  # fmt: skip
        try:
            reply = await client.send(request, stream=True)
        except httpx.TransportError:
            refuse(handler, "service_unavailable", "the control plane does not answer")
            return
        try:
            await _answer(handler, endpoint, reply)
        finally:
            await reply.aclose()


async def _answer(handler: Any, endpoint: Endpoint, reply: httpx.Response) -> None:
    handler.set_status(reply.status_code)
    for name in RETURNED_HEADERS:
        if name in reply.headers:
            handler.set_header(name, reply.headers[name])
    if location := reply.headers.get("Location"):
        handler.set_header("Location", handler.base_url + "animus/" + _below_prefix(location))
    handler.set_header("Cache-Control", "no-store")
    handler.set_header("X-Content-Type-Options", "nosniff")
    if reply.is_success and endpoint.produces is Body.BYTES:
        for name, value in DOWNLOAD_HEADERS.items():
            handler.set_header(name, value)
    try:
        if endpoint.produces is Body.EVENTS:
            await handler.flush()  # the reader learns that it is connected before anything happens
        async for chunk in reply.aiter_bytes():
            handler.write(chunk)
            await handler.flush()
    except (StreamClosedError, httpx.TransportError, asyncio.CancelledError):
        # Headers are out already: all that is left is to end, so that the reader notices and resumes.
        handler.request.connection.stream.close()
        return
    handler.finish()


def _below_prefix(location: str) -> str:
    prefix = API_PREFIX.strip("/")
    return prefix + location.partition(API_PREFIX)[2]
