# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The API as Python: one group per aggregate, one method per operation, messages in and messages out.

Lists are iterators that fetch page after page as they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from animus.errors import UsageError
from animus.refusals import NOWHERE
from animus.transport import Transport
from animus_contracts.pages import MAX_LIMIT, ListQuery


class Group:
    """Operations of one aggregate, in one project.

    Args:
        transport: Carries the calls.
        project: Name or id of the project; empty when none was chosen.
    """

    def __init__(self, transport: Transport, project: str) -> None:
        self._transport = transport
        self._project = project

    @property
    def project(self) -> str:
        """The project.

        Raises:
            UsageError: If none was chosen.
        """
        if not self._project:
            raise UsageError("no_project", "no project is chosen", remedy="animus project use NAME, or --project NAME")
        return self._project

    def _call(
        self,
        operation: str,
        body: msgspec.Struct | None = None,
        *,
        query: msgspec.Struct | None = None,
        key: str = "",
        **path: str,
    ) -> Any:
        return self._transport.call(operation, {"project": self.project, **path}, body, query=query, key=key)

    def _pages(self, operation: str, query: ListQuery, **path: str) -> Iterator[Any]:
        yield from pages(self._transport, operation, query, {"project": self.project, **path})


def pages(transport: Transport, operation: str, query: ListQuery, path: Mapping[str, str] = NOWHERE) -> Iterator[Any]:
    """Yield the items of a list, page after page."""
    query = msgspec.structs.replace(query, limit=MAX_LIMIT)
    while True:
        page = transport.call(operation, path, query=query)
        yield from page.items
        if page.next_cursor is None:
            return
        query = msgspec.structs.replace(query, cursor=page.next_cursor)
