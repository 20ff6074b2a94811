# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A path leads to at most one resource, found segment by segment; no regular expression is tried per request.

Templates are those of the endpoint table: literal segments, ``{name}`` parameters, and a verb after the last one
(``{run}:cancel``). A literal wins over a parameter, a known verb over a parameter that contains a colon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_UNDECODABLE = "\N{REPLACEMENT CHARACTER}"  # what unquote makes of bytes that are not UTF-8


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    parameter: _Node[T] | None = None
    verbs: dict[str, _Node[T]] = field(default_factory=dict)
    methods: dict[str, T] = field(default_factory=dict)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """A resource that exists: what each method leads to, and the path's parameters."""

    methods: Mapping[str, T]
    parameters: Mapping[str, str]


class Routes(Generic[T]):
    """All templates as one tree."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: str, target: T) -> None:
        """Let a method on a template lead to a target.

        Raises:
            RuntimeError: If it leads somewhere already.
        """
        node, names = self._root, []
        for segment in template.split("/")[1:]:
            name, brace, verb = segment.removeprefix("{").partition("}")
            if not brace:
                node = node.literals.setdefault(segment, _Node())
                continue
            names.append(name)
            node.parameter = node.parameter or _Node()
            node = node.parameter
            if verb:
                node = node.verbs.setdefault(verb.removeprefix(":"), _Node())
        if method in node.methods:
            message = f"{method} {template} is routed twice"
            raise RuntimeError(message)
        node.methods[method] = target
        node.names = tuple(names)

    def match(self, path: str) -> Match[T] | None:
        """Find the resource of a request path, or None."""
        node, values = self._root, []
        segments = path.split("/")[1:]
        last = len(segments) - 1
        for position, raw in enumerate(segments):
            segment = unquote(raw) if "%" in raw else raw
            literal = node.literals.get(segment)
            if literal is not None:
                node = literal
                continue
            if node.parameter is None or not segment or not segment.isprintable() or _UNDECODABLE in segment:
                return None
            node = node.parameter
            if position == last and node.verbs:
                value, _, verb = segment.rpartition(":")
                if value and verb in node.verbs:
                    node, segment = node.verbs[verb], value
            values.append(segment)
        return Match(node.methods, dict(zip(node.names, values, strict=True))) if node.methods else None
