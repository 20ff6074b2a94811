# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline file is read as text, bounded in size, and everything wrong with it is shown at its line.

Decoding goes node by node, so that a mistake in one does not hide those in the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from animus import yaml_texts
from animus.errors import UsageError
from animus.yaml_texts import Text
from animus_contracts.decoding import convert
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.pipeline_rules import Surroundings, pipeline_faults
from animus_contracts.pipelines import MAX_FILE_BYTES, ArtifactOf, Node, Pipeline
from animus_contracts.problems import Fault

PLACE = re.compile(r"(?P<message>.*?)(?: - at `(?P<path>\$.*)`)?", re.DOTALL)
UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")


class PipelineFault(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong with a pipeline file: where, what, and how to mend it."""

    line: int
    column: int
    path: str
    message: str
    remedy: str = ""


class PipelineCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of a pipeline file found; a sound one has a plan."""

    file: str
    faults: list[PipelineFault]
    nodes: int = 0
    runs: int = 0
    plan_hash: str = ""

    @property
    def exit_code(self) -> int:
        """What a shell is told."""
        return UsageError.exit_code if self.faults else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFile:
    """A pipeline as its file says it.

    Attributes:
        name: What the file is called in errors.
        digest: Digest of its bytes.
        text: Its values, with their places.
        pipeline: The pipeline, when it could be decoded.
        faults: Why it could not, otherwise.
    """

    name: str
    digest: Digest
    text: Text
    pipeline: Pipeline | None
    faults: list[Fault]

    def check(self, parameters: Mapping[str, Any], surroundings: Surroundings | None = None) -> list[PipelineFault]:
        """Return everything that is wrong with it, in the order of the file."""
        found = self.faults
        if self.pipeline is not None:
            found = pipeline_faults(self.pipeline, parameters, surroundings)
        return sorted((self.placed(fault) for fault in found), key=lambda fault: (fault.line, fault.column))

    def sound(self, parameters: Mapping[str, Any], surroundings: Surroundings | None = None) -> Pipeline:
        """Return the pipeline if nothing is wrong with it.

        Raises:
            UsageError: ``invalid_pipeline``, with the first fault.
        """
        found = self.check(parameters, surroundings)
        if self.pipeline is not None and not found:
            return self.pipeline
        first = found[0]
        more = f" (and {len(found) - 1} more: animus pipeline check {self.name})" if len(found) > 1 else ""
        told = f"{self.name}, line {first.line}: {first.path}: {first.message}{more}"
        raise UsageError("invalid_pipeline", told, remedy=first.remedy)

    def placed(self, fault: Fault) -> PipelineFault:
        """Return a fault with its line and column."""
        line, column = self.text.mark(fault.path)
        return PipelineFault(line=line, column=column, path=fault.path, message=fault.message, remedy=fault.remedy)


def read_bytes(path: Path) -> bytes:
    """Read a pipeline file, no more of it than it may have.

    Raises:
        UsageError: If it is not there.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError("no_such_file", f"{str(path)!r} cannot be read: {error.strerror}") from error


def decode(content: bytes, name: str) -> PipelineFile:
    """Decode a pipeline file.

    Raises:
        UsageError: ``too_large`` or ``bad_yaml``.
    """
    if len(content) > MAX_FILE_BYTES:
        raise UsageError("too_large", f"{name} has more than {MAX_FILE_BYTES // 1024} KiB")
    try:
        characters = content.decode()
    except UnicodeDecodeError as error:
        raise UsageError("bad_yaml", f"{name} is not UTF-8 (byte {error.start})") from error
    text = yaml_texts.read(characters, name)
    faults = _type_faults(text.value)
    pipeline = None if faults else convert(text.value, Pipeline)
    return PipelineFile(name=name, digest=digest_bytes(content), text=text, pipeline=pipeline, faults=faults)


def encode(pipeline: Pipeline) -> str:
    """Return a pipeline as the text of a file."""
    return yaml_texts.write(msgspec.to_builtins(pipeline))


def _type_faults(value: Any) -> list[Fault]:
    if not isinstance(value, dict):
        return [Fault(path="$", code="invalid", message="must have names and values, such as `name: wine`")]
    nodes = value.get("nodes")
    if not isinstance(nodes, dict):
        return _converted(value, Pipeline, "$")
    faults = _converted({**value, "nodes": {}}, Pipeline, "$")
    for name, node in nodes.items():
        path = f"$.nodes.{name}"
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            faults += _converted(node, Node, path)
            continue
        faults += _converted({**node, "inputs": {}}, Node, path)
        for wanted_as, source in inputs.items():
            faults += _converted(source, ArtifactOf, f"{path}.inputs.{wanted_as}")
    return faults


def _converted(value: Any, kind: type[msgspec.Struct], path: str) -> list[Fault]:
    try:
        convert(value, kind)
    except msgspec.ValidationError as error:
        match = PLACE.fullmatch(str(error))
        message, place = (match["message"], match["path"] or "$") if match else (str(error), "$")
        remedy = ""
        if unknown := UNKNOWN.search(message):
            known = [field.encode_name for field in msgspec.structs.fields(kind)]
            close = get_close_matches(unknown["field"], known, 1) if place == "$" else []
            remedy = f"Did you mean {close[0]!r}?" if close else ""
            place = f"{place}.{unknown['field']}"
        return [Fault(path=path + place.removeprefix("$"), code="invalid", message=message, remedy=remedy)]
    return []
