# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Domain errors carry a stable code and say what was wrong, where, and how to mend it.

``AnimusError`` — everything a caller may be told
 ├─ ``InvalidError``    the request is wrong in itself
 ├─ ``DeniedError``     the caller may not do this (audited as a refusal)
 ├─ ``MissingError``    there is no such thing, or not for this caller (the two are never told apart)
 ├─ ``UnseenError``     the project is hidden from the caller, or is not there: missing to them, audited as a refusal
 └─ ``ConflictError``   the state of things does not allow it now
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from animus_contracts.problems import CODES, Fault


class AnimusError(Exception):
    """A refusal with a code of :data:`animus_contracts.problems.CODES`.

    Args:
        code: Stable code.
        detail: What was wrong and where.
        remedy: How to mend it.
        faults: Single faults of a request.
        extra: Machine-readable facts for the problem's ``extra`` member.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        remedy: str = "",
        faults: Sequence[Fault] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if code not in CODES:
            message = f"{code!r} is not in the catalogue of error codes"
            raise RuntimeError(message)
        super().__init__(detail or CODES[code].title)
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.faults = list(faults)
        self.extra = dict(extra or {})


class InvalidError(AnimusError):
    """The request is wrong in itself."""


class DeniedError(AnimusError):
    """The caller may not do this; the refusal is audited in a transaction of its own."""


class MissingError(AnimusError):
    """There is no such thing, or it belongs to another project; the answer is the same."""


class UnseenError(MissingError, DeniedError):
    """There is no such project, or the caller has no role in it; the answer is the same, and so is the work done."""


class ConflictError(AnimusError):
    """The present state does not allow it."""
