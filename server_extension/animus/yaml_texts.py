# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of YAML that is JSON with a friendlier face: no tag, no anchor, no alias, no second document.

Without aliases a text cannot unfold into more than it is, without tags it can name nothing but plain values. Words such
as ``yes`` and ``on`` are texts, and dates are texts, as in YAML 1.2. Every value keeps the line and column where it
stands, so that whatever is wrong with it later can be shown in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from animus.errors import UsageError

MAX_DEPTH = 32
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,4000})")
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"),
}  # fmt: skip

Mark = tuple[int, int]
"""Line and column, counted from 1."""


@dataclass(frozen=True, slots=True)
class Text:
    """A value and where each part of it stands, by its JSONPath (``$.nodes.train``)."""

    value: Any
    marks: dict[str, Mark] = field(repr=False)

    def mark(self, path: str) -> Mark:
        """Return where a path stands, or the innermost part of it that is there."""
        while path not in self.marks and path != "$":
            path = path[: max(path.rfind("."), path.rfind("["))] or "$"
        return self.marks.get(path, (1, 1))


def read(text: str, name: str) -> Text:
    """Read a text.

    Args:
        text: The text.
        name: What to call it in an error.

    Raises:
        UsageError: ``bad_yaml``, with line and column.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reader(name, yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(name, error.problem or "is not YAML", mark) from error
    except yaml.YAMLError as error:
        raise _refused(name, " ".join(str(error).split()), None) from error


def write(value: Any) -> str:
    """Write a JSON value so that :func:`read` gives the same one."""
    return yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)


def resolve(text: str) -> Any:
    """Return the value of an unquoted text."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


class _Reader:
    """Builds a value from the parser's events."""

    def __init__(self, name: str, events: Iterator[Any]) -> None:
        self.name, self.events = name, events
        self.marks: dict[str, Mark] = {}

    def document(self) -> Text:
        next(self.events)  # the stream begins
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise _refused(self.name, "is empty", None)
        value = self._value(next(self.events), "$", 0)
        next(self.events)  # the document ends
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _refused(self.name, "there must be one document only", after.start_mark)
        return Text(value, self.marks)

    def _value(self, event: Any, path: str, depth: int) -> Any:
        self._check(event, depth)
        self.marks[path] = _place(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            return resolve(event.value) if event.implicit[0] and event.style in {None, ""} else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self._value(event, f"{path}[{len(found)}]", depth + 1))
        return found

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            self._check(key, depth)
            if not isinstance(key, yaml.ScalarEvent):
                raise _refused(self.name, "a name must be a text", key.start_mark)
            if key.value in found:
                raise _refused(self.name, f"{key.value[:80]!r} is there twice", key.start_mark)
            found[key.value] = self._value(next(self.events), f"{path}.{key.value}", depth + 1)
            self.marks[f"{path}.{key.value}"] = _place(key.start_mark)
        return found

    def _check(self, event: Any, depth: int) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refused(self.name, "anchors and aliases are not allowed; write the value out", event.start_mark)
        if getattr(event, "tag", None):
            raise _refused(self.name, f"tags are not allowed ({event.tag[:40]})", event.start_mark)
        if depth > MAX_DEPTH:
            raise _refused(self.name, f"is nested deeper than {MAX_DEPTH} levels", event.start_mark)


class _Writer(yaml.SafeDumper):
    """Writes texts in quotes wherever they would be read as something else, and repeats instead of referring back."""

    def ignore_aliases(self, data: Any) -> bool:
        """Say that nothing is shared."""
        del data
        return True


def _written(writer: _Writer, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) and text.isprintable() else '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _written)


def _place(mark: Any) -> Mark:
    return mark.line + 1, mark.column + 1


def _refused(name: str, what: str, mark: Any) -> UsageError:
    where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
    return UsageError("bad_yaml", f"{where}: {what}")
