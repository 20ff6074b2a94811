# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Alive, ready, measured. Readiness names the check that fails; nothing here tells of any project.

Counts are for the operator's own network: a request that came through a proxy is not given them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST

from animus_control.api.handler import Handler, encode
from animus_control.domain.errors import MissingError

CHECK_SECONDS = 2.0


class HealthHandler(Handler):
    """The process answers."""

    operation = "healthz"

    def get(self) -> None:
        """Say so."""
        self.set_header("Content-Type", "application/json")
        self.finish(encode({"status": "ok"}))


class ReadinessHandler(Handler):
    """The process can do its work."""

    operation = "readyz"

    async def get(self) -> None:
        """Run the checks and name those that fail."""
        checks = {
            "database": self.edge.desk.check(),
            "objects": self.edge.objects.check(),
        }
        results = await asyncio.gather(*(_passes(check) for check in checks.values()))
        failing = [name for name, passed in zip(checks, results, strict=True) if not passed]
        if failing:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
            self.set_header("Retry-After", "1")
        self.set_header("Content-Type", "application/json")
        self.finish(encode({"status": "unready" if failing else "ready", "failing": failing}))


class MetricsHandler(Handler):
    """What the process counted."""

    operation = "metrics"

    async def get(self) -> None:
        """Answer in the exposition format of Prometheus."""
        if any(name in self.request.headers for name in ("X-Forwarded-For", "Forwarded")):
            raise MissingError("not_found")
        by_state = await self.edge.read(lambda uow: uow.runs.count_by_state())
        self.edge.metrics.set_runs({state.value: count for state, count in by_state.items()})
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(self.edge.metrics.text())


async def _passes(check: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except Exception:  # noqa: BLE001 - a check may fail in any way; that it failed is the answer
        return False
    return True
