# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The pure-Python proxy, made to stream: what a server sends reaches the browser when it is sent.

The proxy as it is packaged reads each answer to its end before it passes it on, gives up after twenty seconds and asks
for ten answers at a time. Live progress (server-sent events) would arrive when the run is over, or never, and ten open
pages would stop the Hub. ``python -m animus_hub.proxy`` takes the options of ``configurable-http-proxy``.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from configurable_http_proxy import cli, configproxy  # type: ignore[import-untyped]  # it ships no types
from configurable_http_proxy.handlers import ProxyHandler  # type: ignore[import-untyped]  # as above
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPHeaders, parse_response_start_line
from tornado.iostream import StreamClosedError

MAX_ANSWERS = 2000
MAX_BODY_BYTES = 64 * 1024**3
CONNECT_SECONDS = 20.0
OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})
STATUS_LINE = "HTTP/"


class StreamingProxyHandler(ProxyHandler):  # type: ignore[misc]  # as above
    """Passes an answer on part by part, unchanged."""

    def compute_etag(self) -> str | None:
        """Add no header that the server did not send."""
        return None

    async def call_proxy(self, path: str | None = None) -> None:
        """Ask the target and stream its answer."""
        url = await self.get_target_url(path)
        if url is None:
            return
        request = self._get_proxy_request(url)
        request.connect_timeout, request.request_timeout = CONNECT_SECONDS, 0.0
        request.decompress_response = False
        request.header_callback, request.streaming_callback = self._on_header, self._on_part
        self._answer = HTTPHeaders()
        try:
            response = await AsyncHTTPClient().fetch(request, raise_error=False)
        except Exception as error:  # noqa: BLE001 - the proxy is a process edge: whatever failed, the browser is told
            if not self._headers_written:
                await self.handle_proxy_error(HTTPStatus.SERVICE_UNAVAILABLE, error)
            return
        if response.error is not None and not self._answer:
            await self.handle_proxy_error(HTTPStatus.SERVICE_UNAVAILABLE, response.error)
        elif not self._finished:
            self.finish()

    def _on_header(self, line: str) -> None:
        if line.startswith(STATUS_LINE):
            start = parse_response_start_line(line.strip())
            self._answer = HTTPHeaders()  # an interim answer may have come before
            self.set_status(start.code, start.reason)
        elif line.strip():
            self._answer.parse_line(line)
        else:
            self._copy_headers()

    def _copy_headers(self) -> None:
        for name in [name for name, _ in self._headers.get_all()]:
            self.clear_header(name)
        for name, value in self._answer.get_all():
            if name.lower() not in OF_ONE_CONNECTION:
                self.add_header(name, value)

    async def _on_part(self, part: bytes) -> None:
        self.write(part)
        await self.flush()


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Say whether a log record is more than a browser that went away in the middle of an answer."""
    return not (record.exc_info and isinstance(record.exc_info[1], StreamClosedError))


def main(**options: Any) -> None:
    """Run the proxy."""
    logging.getLogger("tornado.application").addFilter(is_worth_a_line)
    AsyncHTTPClient.configure(None, max_clients=MAX_ANSWERS, max_body_size=MAX_BODY_BYTES)
    configproxy.ProxyHandler = StreamingProxyHandler
    cli.main(**options)


if __name__ == "__main__":
    main()
