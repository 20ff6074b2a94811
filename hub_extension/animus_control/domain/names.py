# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Names and labels that callers choose are checked here, each with the place and the rule of every fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from animus_contracts.digests import DIGEST
from animus_contracts.identifiers import BINDING_NAME, PROJECT_NAME, RESOURCE_NAME
from animus_contracts.paths import UNPRINTABLE
from animus_contracts.problems import Fault
from animus_control.domain.errors import InvalidError
from animus_control.domain.limits import Limits

RULES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "project": (PROJECT_NAME, "3 to 30 lower-case letters, digits and single hyphens, starting with a letter"),
    "resource": (
        RESOURCE_NAME,
        "1 to 64 letters, digits, dots, underscores and hyphens, a letter or digit at either end",
    ),
    "binding": (BINDING_NAME, "a Python identifier of at most 64 ASCII letters, digits and underscores"),
}


def digest_faults(digest: str) -> list[Fault]:
    """Check that a text that something is looked for by is a digest."""
    words = "must be sha256: and 64 lower-case hexadecimal digits"
    return [] if DIGEST.fullmatch(digest) else [Fault(path="$.digest", code="invalid", message=words)]


def refuse(faults: Sequence[Fault], *, code: str = "invalid_request", remedy: str = "") -> None:
    """Raise one error with all faults; nothing happens when there are none.

    Raises:
        InvalidError: If there is any fault; the first one is its detail, and its remedy unless another is given.
    """
    if faults:
        raise InvalidError(
            code, f"{faults[0].path}: {faults[0].message}", faults=faults, remedy=remedy or faults[0].remedy
        )


def name_faults(name: str, *, rule: str, path: str = "$.name") -> list[Fault]:
    """Check a name against a rule of :data:`RULES`."""
    pattern, words = RULES[rule]
    if pattern.fullmatch(name):
        return []
    return [Fault(path=path, code="invalid_name", message=f"must be {words}, not {name[:80]!r}")]


def text_faults(text: str, limits: Limits, *, path: str = "$.description") -> list[Fault]:
    """Check a free text's length."""
    if len(text) <= limits.description_characters:
        return []
    return [Fault(path=path, code="too_long", message=f"must be at most {limits.description_characters} characters")]


def label_faults(labels: Mapping[str, str], limits: Limits, *, path: str = "$.labels") -> list[Fault]:
    """Check the number, length and characters of labels."""
    if len(labels) > limits.labels:
        return [Fault(path=path, code="too_many", message=f"must be at most {limits.labels} labels, not {len(labels)}")]
    wrong = (key for key, value in labels.items() if not _is_label(key, limits) or len(value) > limits.label_characters)
    words = f"keys must be 1 to {limits.label_characters} printable characters, values at most as long"
    return [Fault(path=path, code="invalid_label", message=f"{words}; see {key[:40]!r}") for key in wrong]


def _is_label(key: str, limits: Limits) -> bool:
    return 0 < len(key) <= limits.label_characters and not UNPRINTABLE.search(key)
