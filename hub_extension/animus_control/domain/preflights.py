# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A check is passed by having nothing to say against a submission; everything that is wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from animus_contracts.environments import EnvironmentLock
from animus_contracts.inspections import Inspection, NotebookFindings, UndefinedName
from animus_contracts.parameters import parameter_faults, schema_digest
from animus_contracts.policies import Effect, PolicyDecision
from animus_contracts.preflights import Check, CheckName, CheckState, PolicyForecast
from animus_contracts.problems import Fault
from animus_contracts.queues import WaitingReason
from animus_contracts.runs import Failure, RunClass, SubmitRun
from animus_control.domain.environments import limit_faults
from animus_control.domain.limits import Limits
from animus_control.domain.runs import code_faults, secret_faults, shape_faults

NOT_LOOKED_AT = "Looked at by an executor; the answer is not there yet."
SHOWN_NAMES = 10
LOOKED_AT = (CheckName.COMMIT, CheckName.NOTEBOOK, CheckName.HIDDEN_STATE)
"""Checks that need a look at the repository."""

WAITS = {
    CheckName.QUOTA: frozenset({WaitingReason.QUOTA_EXCEEDED}),
    CheckName.EXECUTOR: frozenset({WaitingReason.NO_EXECUTOR, WaitingReason.NO_CAPACITY}),
}
"""Why a run would wait, by the check that tells so."""


def checked(name: CheckName, faults: Iterable[Fault], *, remedy: str = "", passed: str = "") -> Check:
    """Return a check that is failed by any fault."""
    told = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
    if told:
        return Check(name=name, state=CheckState.FAILED, detail=told, remedy=remedy)
    return Check(name=name, state=CheckState.PASSED, detail=passed)


def checks_of_form(message: SubmitRun, limits: Limits) -> list[Check]:
    """Check what a submission says, without looking anything up."""
    form = [*code_faults(message.code, limits), *shape_faults(message, limits)]
    secrets = secret_faults(message.parameters)
    secret = {fault.path for fault in secrets}
    # What is wrong with a value may show it, so a credential is told to be one and nothing else.
    others = parameter_faults(message.parameters_schema, message.parameters)
    values = [*secrets, *(fault for fault in others if fault.path[: len("$.parameters.") + 80] not in secret)]
    return [
        checked(CheckName.SUBMISSION, form, remedy="Mend what is named here; git rev-parse HEAD gives a commit."),
        checked(CheckName.PARAMETERS, values, remedy="Give values that fit what the notebook declares."),
    ]


def without_secrets(message: SubmitRun) -> SubmitRun:
    """Return a submission without the parameters that look like credentials: a record of it is read by others."""
    secret = {fault.path.removeprefix("$.parameters.") for fault in secret_faults(message.parameters)}
    kept = {name: value for name, value in message.parameters.items() if name[:80] not in secret}
    return msgspec.structs.replace(message, parameters=kept)


def mended(message: SubmitRun, missing: Iterable[Fault], lock: EnvironmentLock, *, keeps_priority: bool) -> SubmitRun:
    """Return a submission without what other checks find wrong with it, so that everything else can be told, too."""
    absent = {fault.path.rpartition(".")[2] for fault in missing}
    over = limit_faults(message.resources, lock.limits) if message.resources else []
    return msgspec.structs.replace(
        message,
        datasets={name: version for name, version in message.datasets.items() if name not in absent},
        artifacts={name: artifact for name, artifact in message.artifacts.items() if name not in absent},
        resources=None if over else message.resources,
        priority=message.priority if keeps_priority else 0,
    )


def check_of_waiting(name: CheckName, told: tuple[WaitingReason, str]) -> Check:
    """Return the check of quota or executors: to wait for others is a warning, to wait for ever a failure."""
    reason, detail = told
    if reason not in WAITS[name]:
        return Check(name=name, state=CheckState.PASSED)
    remedy = "Ask for less, or ask the operator which executors there are."
    if reason is WaitingReason.NO_EXECUTOR:
        return Check(name=name, state=CheckState.FAILED, detail=detail, remedy=remedy)
    return Check(name=name, state=CheckState.WARNING, detail=f"It would wait: {detail}")


def forecast_of(decision: PolicyDecision) -> PolicyForecast:
    """Return what is told of a decision that is not stored."""
    return PolicyForecast(
        effect=decision.effect,
        deciding=decision.deciding,
        missing=decision.missing,
        reason=decision.reason,
        snapshot_digest=decision.snapshot_digest,
    )


def check_of_policy(forecast: PolicyForecast) -> Check:
    """Return the check of the policies: an approval that has to be asked for is a warning, because it can be had."""
    missing = f"It needs: {', '.join(forecast.missing)}." if forecast.missing else ""
    states = {Effect.ALLOW: CheckState.PASSED, Effect.REQUIRE_APPROVAL: CheckState.WARNING}
    state = states.get(forecast.effect, CheckState.FAILED)
    detail = f"{forecast.effect}: {forecast.reason}"
    return Check(name=CheckName.POLICY, state=state, detail=detail, remedy=missing)


def pending_checks() -> list[Check]:
    """Return the checks that wait for a look at the repository."""
    return [Check(name=name, state=CheckState.PENDING, detail=NOT_LOOKED_AT) for name in LOOKED_AT]


def unanswerable_checks(why: str, remedy: str = "") -> list[Check]:
    """Return those checks as failed, because nobody could look."""
    return [Check(name=name, state=CheckState.FAILED, detail=why, remedy=remedy) for name in LOOKED_AT]


def checks_of_inspection(message: SubmitRun, inspection: Inspection) -> list[Check]:
    """Return what a look at the notebook found, the declared parameters included."""
    findings = inspection.findings
    if findings is None:
        why = f"No executor could look at the notebook: {inspection.failure}"
        return unanswerable_checks(why, "Check again later; if it repeats, tell the operator of the executors.")
    if findings.problem is not None:
        return _problem(findings, findings.problem)
    commit = f"tree {findings.tree}"
    return [
        *_parameters(message, findings),
        Check(name=CheckName.COMMIT, state=CheckState.PASSED, detail=commit),
        Check(name=CheckName.NOTEBOOK, state=CheckState.PASSED, detail=f"{message.code.path} can be read"),
        _hidden_state(findings.undefined_names, message.run_class),
    ]


def merged(checks: Sequence[Check], newer: Iterable[Check]) -> list[Check]:
    """Return checks with the newer ones in the place of those of the same name."""
    by_name = {check.name: check for check in [*checks, *newer]}
    return [by_name[name] for name in CheckName if name in by_name]


def is_ready(checks: Iterable[Check]) -> bool | None:
    """Say whether a submission would be admitted and could start; None while a check is pending."""
    states = {check.state for check in checks}
    return None if CheckState.PENDING in states else CheckState.FAILED not in states


def _problem(findings: NotebookFindings, problem: Failure) -> list[Check]:
    detail = f"{problem.summary} {problem.detail}".strip()
    failed = Check(name=CheckName.NOTEBOOK, state=CheckState.FAILED, detail=detail, remedy=problem.remedy)
    unread = Check(
        name=CheckName.HIDDEN_STATE, state=CheckState.FAILED, detail="The notebook could not be read.", remedy=""
    )
    if findings.tree:
        commit = Check(name=CheckName.COMMIT, state=CheckState.PASSED, detail=f"tree {findings.tree}")
        return [commit, failed, unread]
    commit = msgspec.structs.replace(failed, name=CheckName.COMMIT)
    return [commit, msgspec.structs.replace(unread, name=CheckName.NOTEBOOK), unread]


def _parameters(message: SubmitRun, findings: NotebookFindings) -> list[Check]:
    if schema_digest(findings.parameters) == schema_digest(message.parameters_schema):
        return []
    declared = ", ".join(parameter.name for parameter in findings.parameters) or "none"
    return [
        Check(
            name=CheckName.PARAMETERS,
            state=CheckState.FAILED,
            detail=f"The notebook declares other parameters at the commit than the submission says: {declared}",
            remedy="Read the declaration at the commit that is submitted; the client does.",
        )
    ]


def _hidden_state(names: Sequence[UndefinedName], run_class: RunClass) -> Check:
    if not names:
        return Check(name=CheckName.HIDDEN_STATE, state=CheckState.PASSED, detail="every name is defined above its use")
    more = f"; and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return Check(
        name=CheckName.HIDDEN_STATE,
        state=CheckState.FAILED if run_class is RunClass.PRODUCTION else CheckState.WARNING,
        detail="; ".join(map(_told, names[:SHOWN_NAMES])) + more,
        remedy="Define it in a cell above, or import it; restart the kernel and run all cells to see what is missing.",
    )


def _told(name: UndefinedName) -> str:
    where = f"cell {name.cell_index + 1}, line {name.line}"
    below = f"only in cell {name.defined_in + 1}, below" if name.defined_in is not None else "in no cell above"
    return f"{where}: {name.name!r} is defined {below}"
