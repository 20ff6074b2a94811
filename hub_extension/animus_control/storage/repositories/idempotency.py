# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An answer is stored in the transaction of what it tells of, under a key that can be used once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete, select

from animus_control.services.repositories import StoredAnswer
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.session import Session
from animus_control.storage.tables import idempotency_keys as table

_ADD = adding(table)
_FIND = Prepared(
    select(table.c.fingerprint, table.c.status, table.c.body, table.c.location).where(
        table.c.scope == bindparam("in_scope"), table.c.key == bindparam("of_key")
    ),
    key=("in_scope", "of_key"),
)
_PRUNE = Prepared(delete(table).where(table.c.expires_at < bindparam("now")))


class IdempotencyTable:
    """Answers by scope and key."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, scope: str, key: str) -> StoredAnswer | None:
        """Return the answer first given under the key."""
        row = self._session.first(_FIND, {"in_scope": scope, "of_key": key})
        return None if row is None else StoredAnswer(**row._asdict())

    def add(self, scope: str, key: str, answer: StoredAnswer, *, expires_at: datetime) -> None:
        """Store an answer."""
        row = {
            "scope": scope,
            "key": key,
            "fingerprint": answer.fingerprint,
            "status": answer.status,
            "body": answer.body,
            "location": answer.location,
            "expires_at": expires_at,
        }
        self._session.change(_ADD, row)

    def prune(self, now: datetime) -> int:
        """Forget the answers that expired before ``now`` and return how many."""
        return self._session.change(_PRUNE, {"now": now})
