# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the outside must hear is stored with the change itself, so that neither exists without the other.

A sender that delivers the messages in the order of ``message_id`` is not part of this package yet; until there is one
they are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from animus_control.storage.prepared import adding
from animus_control.storage.session import Session
from animus_control.storage.tables import outbox

_ADD = adding(outbox, "message_id")


class StoredOutbox:
    """Messages to the outside."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, topic: str, key: str, payload: Mapping[str, Any], at: datetime) -> None:
        """Store a message."""
        self._session.change(_ADD, {"topic": topic, "key": key, "payload": payload, "at": at})
