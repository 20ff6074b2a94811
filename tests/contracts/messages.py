# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every message that crosses a process boundary: found by looking, so that a new one cannot be forgotten."""

from __future__ import annotations

import importlib
import pkgutil
from enum import Enum

import msgspec

import animus_contracts

NOT_MESSAGES = frozenset({"Code", "Endpoint"})
"""Rows of our own tables; they are never serialised."""


def messages() -> dict[str, type[msgspec.Struct]]:
    """Return every message type by name."""
    found: dict[str, type[msgspec.Struct]] = {}
    for module in pkgutil.iter_modules(animus_contracts.__path__):
        for value in vars(importlib.import_module(f"animus_contracts.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct:
                found[value.__name__] = value
    return {name: kind for name, kind in sorted(found.items()) if name not in NOT_MESSAGES}


def vocabularies() -> dict[str, list[str]]:
    """Return every enumeration that leaves the process, with its values."""
    found: dict[str, list[str]] = {}
    for module in pkgutil.iter_modules(animus_contracts.__path__):
        for value in vars(importlib.import_module(f"animus_contracts.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Enum) and value.__module__.startswith("animus_contracts."):
                found[value.__name__] = [member.value for member in value]
    return dict(sorted(found.items()))
