# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Dispatch and run tokens are random, known only to whom they were given, and stored as their digest alone."""

from __future__ import annotations

from datetime import timedelta

from animus_contracts.digests import digest_bytes
from animus_contracts.executions import Execution
from animus_control.services.calls import Call
from animus_control.services.ports import UnitOfWork
from animus_control.services.run_repositories import StoredToken

DISPATCH = "dispatch"
RUN = "run"
PREFIXES = {DISPATCH: "ad_", RUN: "ar_"}


def token_hash(token: str) -> str:
    """Return what is stored of a token."""
    return digest_bytes(token.encode())


def issue(uow: UnitOfWork, call: Call, execution: Execution, *, kind: str, life: timedelta) -> str:
    """Make a token for an execution, store its digest and return the token itself, once."""
    token = PREFIXES[kind] + call.new_secret()
    uow.tokens.add(
        StoredToken(
            token_hash=token_hash(token),
            kind=kind,
            execution_id=execution.execution_id,
            run_id=execution.run_id,
            project_id=execution.project_id,
            epoch=execution.epoch,
            expires_at=call.now + life,
        )
    )
    return token
