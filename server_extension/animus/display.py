# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How answers look: a table per kind of message, as text for a shell and as HTML for a notebook.

Whatever comes from a person or a program is text: it is escaped in HTML, and control sequences are removed for a
terminal. What a table shows is one entry in ``COLUMNS``.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from animus import checking, comparing, narrative, pipeline_tables, queue_tables, rule_tables
from animus.pipeline_files import PipelineCheck, PipelineFault
from animus.pipeline_pictures import progress_of
from animus.pipeline_tables import PipelineStory
from animus.story import plain
from animus.verbs import Done, Following, FollowingPipeline, Judged
from animus.verbs.repeats import Whence
from animus.verbs.runs import NotebookContext
from animus.waiting import ListedRun, StoppedRun, in_one_line
from animus_contracts.artifacts import Artifact, MadeArtifact, Metric
from animus_contracts.audit import AuditEvent, AuditRecord
from animus_contracts.comparisons import Comparison
from animus_contracts.datasets import Dataset, DatasetFile, DatasetVersion
from animus_contracts.decoding import decode_json
from animus_contracts.environments import Environment, EnvironmentLock
from animus_contracts.explanations import Explanation
from animus_contracts.pipeline_runs import PipelineRun
from animus_contracts.preflights import Preflight
from animus_contracts.projects import Identity, Project, RoleBinding
from animus_contracts.runs import Run

Column = Callable[[Any], Any]


def _record(event: AuditEvent) -> AuditRecord:
    return decode_json(event.record, AuditRecord)


def _waits(run: ListedRun) -> str:
    return "" if run.waiting is msgspec.UNSET else in_one_line(run.waiting)


RUN: dict[str, Column] = {
    "run": lambda it: it.run_id,
    "state": lambda it: it.state,
    "notebook": lambda it: it.code.path,
    "commit": lambda it: it.code.commit[:12],
    "class": lambda it: it.run_class,
    "cells": lambda it: f"{it.progress.cells_done}/{it.progress.cells_total}" if it.progress.cells_total else "",
    "created": lambda it: it.created_at,
    "by": lambda it: it.created_by,
    "failure": lambda it: it.failure.summary if it.failure else "",
}
COLUMNS: Mapping[type, Mapping[str, Column]] = {
    **queue_tables.COLUMNS,
    **rule_tables.COLUMNS,
    Project: {
        "project": lambda it: it.name,
        "state": lambda it: it.state,
        "description": lambda it: it.description,
        "created": lambda it: it.created_at,
        "by": lambda it: it.created_by,
    },
    RoleBinding: {
        "subject": lambda it: f"{it.subject_type}:{it.subject}",
        "role": lambda it: it.role,
        "since": lambda it: it.created_at,
        "by": lambda it: it.created_by,
    },
    Dataset: {
        "dataset": lambda it: it.name,
        "description": lambda it: it.description,
        "created": lambda it: it.created_at,
        "by": lambda it: it.created_by,
    },
    DatasetVersion: {
        "version": lambda it: f"{it.dataset}@{it.ordinal}",
        "files": lambda it: len(it.files),
        "bytes": lambda it: it.size_bytes,
        "content": lambda it: it.content_digest,
        "created": lambda it: it.created_at,
        "by": lambda it: it.created_by,
    },
    Environment: {
        "environment": lambda it: it.name,
        "version": lambda it: it.version,
        "state": lambda it: it.state,
        "python": lambda it: it.python,
        "requirements": lambda it: ", ".join(it.requirements),
    },
    EnvironmentLock: {
        "environment": lambda it: it.environment,
        "version": lambda it: it.environment_version,
        "lock": lambda it: it.lock_id,
        "platform": lambda it: it.platform,
        "hash": lambda it: it.env_hash,
        "created": lambda it: it.created_at,
    },
    Run: RUN,
    ListedRun: RUN | {"waits": _waits},
    StoppedRun: {"stopped": lambda it: it.told} | RUN,
    PipelineRun: {
        "pipeline run": lambda it: it.pipeline_run_id,
        "pipeline": lambda it: it.name,
        "state": lambda it: it.state,
        "runs": lambda it: progress_of(it.counts),
        "commit": lambda it: it.code.commit[:12],
        "class": lambda it: it.run_class,
        "created": lambda it: it.created_at,
        "by": lambda it: it.created_by,
        "reason": lambda it: it.reason,
    },
    PipelineFault: {
        "line": lambda it: it.line,
        "where": lambda it: it.path,
        "what": lambda it: it.message,
        "remedy": lambda it: it.remedy,
    },
    Metric: {"metric": lambda it: it.name, "step": lambda it: it.step, "value": lambda it: it.value},
    Artifact: {
        "artifact": lambda it: it.name,
        "kind": lambda it: it.kind,
        "bytes": lambda it: it.size_bytes,
        "digest": lambda it: it.digest,
    },
    MadeArtifact: {
        "artifact": lambda it: it.artifact.name,
        "kind": lambda it: it.artifact.kind,
        "run": lambda it: it.run.run_id,
        "state": lambda it: it.run.state,
        "notebook": lambda it: it.run.code.path,
        "commit": lambda it: it.run.code.commit[:12],
        "created": lambda it: it.artifact.created_at,
        "by": lambda it: it.run.created_by,
    },
    DatasetFile: {
        "dataset": lambda it: f"{it.dataset}@{it.ordinal}",
        "file": lambda it: it.path,
    },
    AuditEvent: {
        "event": lambda it: it.sequence,
        "when": lambda it: _record(it).occurred_at,
        "who": lambda it: _record(it).actor,
        "did": lambda it: _record(it).action,
        "to": lambda it: _record(it).resource,
        "outcome": lambda it: _record(it).outcome,
    },
    Identity: {
        "name": lambda it: it.name,
        "kind": lambda it: it.kind,
        "administrator": lambda it: "yes" if it.platform_admin else "no",
        "roles": lambda it: ", ".join(f"{one.project}: {one.role}" for one in it.memberships),
        "token": lambda it: ", ".join(it.scopes),
    },
    NotebookContext: {
        "repository": lambda it: it.repository,
        "commit": lambda it: it.commit,
        "branch": lambda it: it.branch,
        "notebook": lambda it: it.path,
        "differs": lambda it: ", ".join(it.changed) or "nothing",
        "at the remote": lambda it: "yes" if it.published else "no",
        "parameters": lambda it: ", ".join(f"{one.name}: {one.type}" for one in it.parameters),
    },
}


def _whence(found: Whence) -> Iterator[narrative.Section]:
    yield "Made by", _text_table(found.artifacts).splitlines()
    yield "Held by", _text_table(found.datasets).splitlines()


TOLD: Mapping[type, Callable[[Any], Iterator[narrative.Section]]] = {
    **rule_tables.TOLD,
    Comparison: comparing.sections,
    Preflight: checking.sections,
    Whence: _whence,
}
"""What is told in sections rather than in a table."""


class Shown:
    """An answer with its looks; ``value`` is the answer itself."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return as_text(self.value)

    def _repr_html_(self) -> str:
        return as_html(self.value)


def as_json(value: Any) -> str:
    """Return an answer as one JSON document."""
    if isinstance(value, Following | FollowingPipeline):
        value = value.run
    return msgspec.json.encode(value.value if isinstance(value, Judged) else value).decode()


def as_text(value: Any) -> str:
    """Return an answer as plain text."""
    if isinstance(value, Done):
        return plain(value.message)
    if isinstance(value, Judged):
        return as_text(value.value)
    if isinstance(value, Explanation):
        return narrative.as_text(value)
    if type(value) in TOLD:
        return narrative.sections_as_text(TOLD[type(value)](value))
    if isinstance(value, PipelineStory):
        return pipeline_tables.as_text(value)
    if isinstance(value, PipelineCheck):
        return _text_table(value.faults) if value.faults else _sound(value)
    if isinstance(value, list):
        return _text_table(value)
    columns = COLUMNS[type(value)]
    width = max(map(len, columns))
    return "\n".join(f"{name:<{width}}  {shown(column(value))}" for name, column in columns.items())


def as_html(value: Any) -> str:
    """Return an answer as HTML."""
    if isinstance(value, Done):
        return f"<p>{html.escape(value.message)}</p>"
    if isinstance(value, Judged):
        return _notes(value) + as_html(value.value)
    if isinstance(value, Explanation):
        return narrative.as_html(value)
    if type(value) in TOLD:
        return narrative.sections_as_html(TOLD[type(value)](value))
    if isinstance(value, PipelineStory):
        return pipeline_tables.as_html(value)
    if isinstance(value, PipelineCheck):
        return _html_table(value.faults) if value.faults else f"<p>{html.escape(_sound(value))}</p>"
    if isinstance(value, list):
        return _html_table(value)
    rows = [f"<tr><th>{name}</th><td>{html.escape(shown(column(value)))}</td></tr>"
            for name, column in COLUMNS[type(value)].items()]  # fmt: skip
    return f"<table>{''.join(rows)}</table>"


def _notes(value: Judged) -> str:
    return "".join(f"<p><i>{html.escape(plain(note))}</i></p>" for note in value.notes)


def _sound(check: PipelineCheck) -> str:
    return f"{plain(check.file)} is sound: {check.nodes} nodes, {check.runs} runs, plan {check.plan_hash}"


def shown(value: Any) -> str:
    """Return one cell of a table."""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(plain(str(value)).split())


def _cells(values: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    columns = COLUMNS[type(values[0])]
    rows = [[shown(column(value)) for column in columns.values()] for value in values]
    used = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    return [list(columns)[index] for index in used], [[row[index] for index in used] for row in rows]


def _text_table(values: Sequence[Any]) -> str:
    if not values:
        return "nothing"
    names, rows = _cells(values)
    widths = [max(len(row[index]) for row in [names, *rows]) for index in range(len(names))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [names, *rows])
    return "\n".join(line.rstrip() for line in lines)


def _html_table(values: Sequence[Any]) -> str:
    if not values:
        return "<p>nothing</p>"
    names, rows = _cells(values)
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
