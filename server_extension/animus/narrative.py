# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The complete story of a run, readable: what, on what, by whom, under which rules, what happened, what came out.

Every sentence is taken from the record; nothing is concluded here.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from datetime import datetime

from animus import comparing, lineage
from animus.story import plain
from animus.waiting import in_one_line
from animus_contracts.artifacts import Metric
from animus_contracts.audit import Action, AuditRecord
from animus_contracts.decoding import decode_json
from animus_contracts.explanations import Explanation
from animus_contracts.runs import Run

Section = tuple[str, list[str]]

REASON = {Action.RUN_RETRY_HELD: "reason", Action.RUN_RETRY_REFUSED: "detail", Action.RUN_RETRY_WITHDRAWN: "reason"}
"""Which fact of an event says why nothing has come of what was promised."""


def sections(story: Explanation) -> Iterator[Section]:
    """Yield the story's sections, each a title and its lines."""
    run = story.run
    waits = [f"waits: {in_one_line(story.waiting)}"] if story.waiting else []
    yield "Run", [*_outcome(run), *waits]
    yield "Made from", list(_origin(story))
    yield "Rules", list(_rules(story))
    yield "What happened", list(_history(story))
    if story.provenance:
        yield "Ran with", list(_machine(story))
    if story.metrics:
        yield "Measured", list(_measures(story))
    yield "Made", [f"{made.name}  {made.kind}  {made.size_bytes} bytes  {made.digest}" for made in story.artifacts]
    if story.repetitions:
        yield "Repeated by", [_repetition(each) for each in story.repetitions]
    if story.comparisons:
        yield "Compared", [comparing.in_one_line(each) for each in story.comparisons]


def as_text(story: Explanation) -> str:
    """Return the story as text."""
    return sections_as_text([*sections(story), ("Lineage", list(lineage.as_lines(story)))])


def as_html(story: Explanation) -> str:
    """Return the story as HTML; every line is escaped."""
    return f"<div class='animus-story'>{lineage.as_svg(story)}{sections_as_html(sections(story))}</div>"


def sections_as_text(told: Iterable[Section]) -> str:
    """Return sections as text, without what a terminal would act on."""
    parts = (
        f"{plain(title)}\n" + "\n".join(f"  {plain(line)}" for line in lines or ["nothing"]) for title, lines in told
    )
    return "\n\n".join(parts)


def sections_as_html(told: Iterable[Section]) -> str:
    """Return sections as HTML; every title and line is escaped."""
    return "".join(
        f"<h4>{html.escape(plain(title))}</h4><pre>{html.escape(plain(chr(10).join(lines or ['nothing'])))}</pre>"
        for title, lines in told
    )


def _outcome(run: Run) -> Iterator[str]:
    yield f"{run.run_id}  {run.state}  ({run.run_class})"
    yield f"submitted by {run.created_by} at {_when(run.created_at)}"
    if run.started_at and run.finished_at:
        yield f"ran {(run.finished_at - run.started_at).total_seconds():.1f} s, until {_when(run.finished_at)}"
    if run.queued_at and run.started_at:
        yield f"waited {(run.started_at - run.queued_at).total_seconds():.1f} s to start"
    if run.limitations:
        yield f"limitations: {', '.join(run.limitations)}"
    if failure := run.failure:
        yield f"{run.state} ({failure.reason}): {failure.summary}"
        yield from filter(None, (failure.exception, failure.remedy and f"remedy: {failure.remedy}"))


def _repetition(run: Run) -> str:
    relation = f"{run.origin.relation} {run.origin.number}" if run.origin else ""
    return f"{run.run_id}  {relation}  {run.state}  by {run.created_by} at {_when(run.created_at)}"


def _origin(story: Explanation) -> Iterator[str]:
    run = story.run
    if run.origin:
        yield f"{run.origin.relation} {run.origin.number} of {run.origin.run_id}"
    if place := run.pipeline:
        item = "" if place.item is None else f"[{place.item}]"
        yield f"node {place.node}{item} of pipeline run {place.pipeline_run_id}"
    yield f"notebook {run.code.path} at {run.code.commit}"
    yield f"of {run.code.repository}"
    for bound in run.datasets:
        yield f"dataset {bound.dataset}@{bound.ordinal} as {bound.name!r}  {bound.content_digest}"
    for made in run.artifacts:
        yield f"artifact {made.artifact} of run {made.run_id} as {made.name!r}  {made.content_digest}"
    yield f"environment {story.lock.environment} version {story.lock.environment_version}  {run.env_hash}"
    yield "parameters " + (", ".join(f"{name}={value!r}" for name, value in run.parameters.items()) or "none")
    yield f"seed {run.seed if run.seed is not None else 'none'}"
    yield f"inputs {run.inputs_hash}"
    yield f"spec   {run.spec_hash}"


def _rules(story: Explanation) -> Iterator[str]:
    decision = story.decision
    yield f"{decision.effect}: {decision.reason}"
    yield f"decided by {', '.join(decision.deciding) or 'default deny'} at {_when(decision.decided_at)}"
    if approval := story.approval:
        who = f" by {approval.decided_by} at {_when(approval.decided_at)}" if approval.decided_at else ""
        yield f"approval {approval.state}{who}" + (f": {approval.comment}" if approval.comment else "")
    rules = ", ".join(f"{rule.name} v{rule.version}" for rule in story.snapshot.policies)
    yield f"in force: {rules}  {story.snapshot.digest}"


def _history(story: Explanation) -> Iterator[str]:
    for event in story.audit:
        record = decode_json(event.record, AuditRecord)
        outcome = "" if record.outcome == "success" else f"  {record.outcome}"
        what = f"{record.action}{outcome}{_move(record)}{_reason(record)}"
        yield f"{_when(record.occurred_at)}  #{event.sequence}  {record.actor}  {what}"
    for attempt in story.executions:
        yield f"attempt {attempt.attempt} by {attempt.executor}: {attempt.verdict or attempt.state}"


def _move(record: AuditRecord) -> str:
    state = record.details.get("state") or record.details.get("to")
    return f"  → {state}" if isinstance(state, str) else ""


def _reason(record: AuditRecord) -> str:
    reason = record.details.get(REASON.get(record.action, ""))
    return f": {reason}" if reason else ""


def _measures(story: Explanation) -> Iterator[str]:
    series: dict[str, list[Metric]] = {}
    for metric in story.metrics:
        series.setdefault(metric.name, []).append(metric)
    for name, values in sorted(series.items()):
        last = values[-1]
        many = f"  (step {last.step}, the last of {len(values)})" if len(values) > 1 else ""
        yield f"{name} = {last.value:.6g}{many}"


def _machine(story: Explanation) -> Iterator[str]:
    found = story.provenance
    if not found:
        return
    memory = f", peak {found.peak_memory_mib:.0f} MiB" if found.peak_memory_mib is not None else ""
    yield f"{found.implementation} {found.python} on {found.platform}{memory}"
    yield f"tree {found.tree}, notebook {found.notebook_digest}"
    yield f"{len(found.packages)} packages; " + ", ".join(
        f"{name}={value}" for name, value in found.environment.items()
    )


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
