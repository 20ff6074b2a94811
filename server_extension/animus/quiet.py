# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``%animus`` inside a run does nothing but say so: a run never submits runs, and it holds no token to do it with."""

from __future__ import annotations

from typing import Any


def register(shell: Any) -> None:
    """Register the quiet ``%animus``."""
    shell.register_magic_function(say_so, magic_kind="line", magic_name="animus")


def say_so(line: str) -> None:
    """Say that the command was left out."""
    print(f"animus: inside a run, `%animus {line}` does nothing")  # noqa: T201  # the cell's own output
