# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the runner parent does not import, although a library it does import would like to."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def looking_absent(package: str) -> Iterator[None]:
    """Let what is imported meanwhile find that an optional package is not installed.

    It can be imported afterwards. One that was imported before stays, and is found.

    Args:
        package: The name of a top-level package.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # how the import system is told that there is none
    try:
        yield
    finally:
        del sys.modules[package]
