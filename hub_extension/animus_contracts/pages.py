# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Lists are read page by page, by cursor; a cursor is opaque and survives insertions."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec

from animus_contracts.approvals import ApprovalState
from animus_contracts.digests import Digest
from animus_contracts.runs import RunState

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class Page(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a list; ``next_cursor`` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which page of a list: at most ``limit`` items (1 to 200) after ``cursor``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: str | None = None


class NamedListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, only items of this name."""

    name: str | None = None


class RunListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, newest first, only runs in this state or of this person."""

    state: RunState | None = None
    created_by: str | None = None


class ApprovalListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, newest first, only approvals in this state or of this run."""

    state: ApprovalState | None = None
    run_id: str | None = None


class InboxQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, newest first, only approvals in this state."""

    state: ApprovalState | None = None


class DigestQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, newest first: what has exactly these bytes."""

    digest: Digest


class ComparisonListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, newest first, only comparisons with these runs; ``left`` is the earlier one."""

    left: str | None = None
    right: str | None = None


class AuditListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, oldest first, only events with this actor, action or resource."""

    actor: str | None = None
    action: str | None = None
    resource: str | None = None


class LineageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The graph around ``root`` (``type:id``), ``depth`` steps far (1 to 5)."""

    root: str
    depth: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Resume a stream after this event id; the ``Last-Event-ID`` header means the same and wins."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
