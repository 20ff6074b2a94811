# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Sides of a comparison made of cells and files, written into a folder as an executor writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.comparisons import ComparedFile, ComparedRun, ComparisonRequest, OutputComparison, RunFacts
from animus_contracts.digests import digest_bytes
from animus_contracts.runs import RunState
from animus_runner.comparison.verdict import compare
from tests.ports.records_of_a_project import a_run

Files = dict[str, str | bytes]


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def result(data: dict[str, Any], count: int = 1) -> dict[str, Any]:
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": count}


def code(source: str, *outputs: dict[str, Any], cell_id: str = "", tags: tuple[str, ...] = ()) -> dict[str, Any]:
    metadata = {"tags": list(tags)}
    return {"cell_type": "code", "id": cell_id or f"id-{len(source)}", "source": source, "outputs": list(outputs),
            "metadata": metadata, "execution_count": 1}  # fmt: skip


def markdown(text: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "text", "source": text, "metadata": {"tags": list(tags)}}


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def a_file(path: Path, content: str | bytes, kind: ArtifactKind = ArtifactKind.OUTPUT) -> ComparedFile:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    entry = ArtifactEntry(
        name=path.name, kind=kind, media_type="text/plain", digest=digest_bytes(data), size_bytes=len(data)
    )
    return ComparedFile(entry=entry, path=str(path))


def a_side(folder: Path, cells: list[dict[str, Any]], files: Files | None = None, **facts: Any) -> ComparedRun:
    folder.mkdir()
    compared = [a_file(folder / name, content) for name, content in (files or {}).items()]
    compared.append(a_file(folder / "notebook.ipynb", json.dumps(notebook(*cells)), ArtifactKind.NOTEBOOK))
    run = a_run(**{"state": RunState.SUCCEEDED, "seed": None} | facts)
    return ComparedRun(facts=RunFacts(run=run), artifacts=compared)


def a_request(
    folder: Path,
    left: list[dict[str, Any]],
    right: list[dict[str, Any]],
    files: tuple[Files, Files] = ({}, {}),
    facts: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
) -> ComparisonRequest:
    sides = [
        a_side(folder / name, cells, content, **more)
        for name, cells, content, more in zip(("left", "right"), (left, right), files, facts, strict=True)
    ]
    return ComparisonRequest(left=sides[0], right=sides[1])


def compared(folder: Path, left: list[dict[str, Any]], right: list[dict[str, Any]], **more: Any) -> OutputComparison:
    return compare(a_request(folder, left, right, **more))
