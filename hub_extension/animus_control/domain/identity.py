# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A principal is an authenticated caller; its kind decides which part of the API it may use at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from animus_contracts.identifiers import ExecutionId, ProjectId, RunId
from animus_contracts.projects import Role

EVERY_PROJECT = "*"


class PrincipalKind(StrEnum):
    """What kind of credential stands behind a call."""

    USER = "user"
    SERVICE = "service"
    EXECUTOR = "executor"
    RUN = "run"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClaim:
    """What a run token is bound to."""

    run_id: RunId
    project_id: ProjectId
    execution_id: ExecutionId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls.

    Attributes:
        name: User, service or executor name; the run id for a run token.
        kind: The credential's kind.
        groups: Groups the identity provider vouches for.
        platform_admin: Whether the Hub calls the user an administrator.
        ceiling: The most the token in use may do, by project name (or :data:`EVERY_PROJECT`). Empty means nothing:
            a token without a project scope gives no access to any project.
        run: What a run token is bound to.
        token_id: The Hub's id of the token, for the audit log.
    """

    name: str
    kind: PrincipalKind
    groups: frozenset[str] = frozenset()
    platform_admin: bool = False
    ceiling: Mapping[str, Role] = field(default_factory=dict)
    run: RunClaim | None = None
    token_id: str = ""

    @property
    def subject(self) -> str:
        """The principal as the audit log names it, such as ``user:ann``."""
        return f"{self.kind}:{self.name}"


SYSTEM = Principal(name="control-plane", kind=PrincipalKind.SYSTEM)
