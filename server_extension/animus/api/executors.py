# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Executors belong to the platform and not to a project; only its administrators see them."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import pages
from animus.transport import Transport
from animus_contracts.executors import Executor
from animus_contracts.pages import ListQuery


class Executors:
    """The executors.

    Args:
        transport: Carries the calls.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[Executor]:
        """Yield the executors by name, as they last asked for work."""
        yield from pages(self._transport, "executors.list", ListQuery())
