# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokens are known by their hash alone; one that is used up or revoked is gone."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from animus_contracts.identifiers import ExecutionId
from animus_control.services.run_repositories import StoredToken
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.run_tables import tokens
from animus_control.storage.session import Session

_ADD = adding(tokens)
_FIND = Prepared(select(tokens).where(tokens.c.token_hash == bindparam("hash")))
_EXTEND = Prepared(
    update(tokens).where(tokens.c.execution_id == bindparam("execution")).values(expires_at=bindparam("until"))
)
_REVOKE = delete(tokens).where(tokens.c.execution_id == bindparam("execution"))
_REVOKE_ALL = Prepared(_REVOKE)
_REVOKE_KIND = Prepared(_REVOKE.where(tokens.c.kind == bindparam("of_kind")))
_REVOKE_HASH = Prepared(delete(tokens).where(tokens.c.token_hash == bindparam("hash")))


class TokenTable:
    """Dispatch and run tokens."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, token: StoredToken) -> None:
        """Store a new token's claims."""
        self._session.change(_ADD, asdict(token))

    def find(self, token_hash: str) -> StoredToken | None:
        """Return the claims of a token."""
        row = self._session.first(_FIND, {"hash": token_hash})
        return None if row is None else StoredToken(**row._asdict())

    def extend(self, execution_id: ExecutionId, *, expires_at: datetime) -> None:
        """Let the attempt's tokens live until then."""
        self._session.change(_EXTEND, {"execution": execution_id, "until": expires_at})

    def revoke(self, execution_id: ExecutionId, *, kind: str | None = None) -> None:
        """End the attempt's tokens, all or those of one kind."""
        if kind is None:
            self._session.change(_REVOKE_ALL, {"execution": execution_id})
        else:
            self._session.change(_REVOKE_KIND, {"execution": execution_id, "of_kind": kind})

    def revoke_hash(self, token_hash: str) -> bool:
        """Use a token up; False when it was gone already."""
        return self._session.change(_REVOKE_HASH, {"hash": token_hash}) == 1
