# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The checks of a submission, readable: one line for each, and under a failed one the way out."""

from __future__ import annotations

from collections.abc import Iterator

from animus.narrative import Section
from animus_contracts.preflights import CheckState, Preflight

SIGNS = {
    CheckState.PASSED: "✓",
    CheckState.WARNING: "!",
    CheckState.FAILED: "✗",
    CheckState.PENDING: "…",
}
ANSWERS = {True: "Ready to be submitted", False: "Not ready to be submitted", None: "Not known yet"}


def sections(preflight: Preflight) -> Iterator[Section]:
    """Yield the answer and its checks."""
    yield ANSWERS[preflight.ready], list(_lines(preflight))


def _lines(preflight: Preflight) -> Iterator[str]:
    width = max((len(check.name) for check in preflight.checks), default=0)
    for check in preflight.checks:
        yield f"{SIGNS[check.state]} {check.name:<{width}}  {check.state:<7}  {check.detail}".rstrip()
        if check.remedy and check.state in {CheckState.FAILED, CheckState.WARNING}:
            yield f"{'':<{width + 13}}→ {check.remedy}"
