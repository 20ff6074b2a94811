# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What may be asked about a notebook: an address we accept, and a name that git would take for a branch or a tag.

A ref reaches a command line of git in the data plane, so only names that cannot be anything else are let through.
"""

from __future__ import annotations

import re

from animus_contracts.problems import Fault
from animus_control.domain.limits import Limits
from animus_control.domain.runs import place_faults

REF = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/+-]{0,198}[A-Za-z0-9_+-])?")
NEVER = re.compile(r"\.\.|//|/\.|\.lock(?:/|$)|\./")
"""What git allows nowhere in a name (git-check-ref-format)."""


def is_ref(text: str) -> bool:
    """Say whether a text can name a branch, a tag, or a commit."""
    return REF.fullmatch(text) is not None and NEVER.search(text) is None


def inspection_faults(repository: str, ref: str, path: str, limits: Limits) -> list[Fault]:
    """Check what an inspection asks about."""
    faults = place_faults(repository, path, limits, at="$")
    if not is_ref(ref):
        words = f"must be a branch, a tag, or a full commit id, not {ref[:80]!r}"
        faults.append(Fault(path="$.ref", code="invalid_ref", message=words))
    return faults
