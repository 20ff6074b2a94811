# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the demo expects of the product; the first thing that is otherwise ends it."""

from __future__ import annotations


class Disappointment(Exception):  # noqa: N818 - it says what happened to the one who watches
    """Something is not as promised."""


def expect(is_so: object, otherwise: str) -> None:
    """Go on if something is so.

    Raises:
        Disappointment: If it is not; the message says what was found.
    """
    if not is_so:
        raise Disappointment(otherwise)
