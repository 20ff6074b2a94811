# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Credentials are taken out of what a run publishes, and counted.

Credentials the platform knows are found by the digest of each word, so the process that reads user output never
holds them; others by the patterns that also refuse them as parameters. In a notebook only outputs are touched: its
source is what stands at the commit.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Any

from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.parameters import SECRET_VALUES

REDACTED = "[redacted]"
WORD = re.compile(r"[A-Za-z0-9_-]{20,256}")
TEXT_TYPES = ("text/", "application/json", "application/vnd.")


class Redactor:
    """Takes credentials out of text.

    Args:
        digests: Digests of the credentials the platform knows.

    Attributes:
        count: How many were taken out so far.
    """

    def __init__(self, digests: Iterable[Digest]) -> None:
        self._digests = frozenset(digests)
        self._lock = threading.Lock()
        self.count = 0

    def text(self, text: str) -> str:
        """Return the text without credentials."""
        if self._digests:
            text = WORD.sub(self._word, text)
        found = 0
        for pattern in SECRET_VALUES.values():
            text, more = pattern.subn(REDACTED, text)
            found += more
        if found:
            self._add(found)
        return text

    def notebook(self, notebook: dict[str, Any]) -> dict[str, Any]:
        """Return a decoded notebook with clean outputs."""
        return notebook | {"cells": [self._cell(cell) for cell in notebook["cells"]]}

    def _cell(self, cell: dict[str, Any]) -> dict[str, Any]:
        outputs = cell.get("outputs")
        return cell | {"outputs": [self._output(output) for output in outputs]} if outputs else cell

    def _output(self, output: dict[str, Any]) -> dict[str, Any]:
        clean: dict[str, Any] = {key: self._value(output[key]) for key in ("text", "evalue") if key in output}
        if "traceback" in output:
            clean["traceback"] = [self.text(line) for line in output["traceback"]]
        if "data" in output:
            clean["data"] = {
                kind: self._value(value) if kind.startswith(TEXT_TYPES) else value
                for kind, value in output["data"].items()
            }
        return output | clean

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        return value

    def _list(self, value: list[Any]) -> list[Any]:
        """Clean a list; one of strings is a text split into lines, and a credential may span them."""
        if not all(isinstance(item, str) for item in value):
            return [self._value(item) for item in value]
        text = "".join(value)
        clean = self.text(text)
        return value if clean == text else clean.splitlines(keepends=True)

    def _word(self, match: re.Match[str]) -> str:
        if digest_bytes(match[0].encode()) not in self._digests:
            return match[0]
        self._add(1)
        return REDACTED

    def _add(self, found: int) -> None:
        with self._lock:
            self.count += found
