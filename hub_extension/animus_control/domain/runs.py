# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run moves only along :data:`TRANSITIONS`; what is not in the table does not happen, and no state follows an end.

What a submission may say is checked here as well, every fault with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.parameters import parameter_faults, secret_rule
from animus_contracts.paths import UNPRINTABLE, path_fault
from animus_contracts.problems import Fault
from animus_contracts.runs import TERMINAL_STATES, CodeRef, Limitation, Run, RunState, SubmitRun
from animus_control.domain.environments import resource_faults
from animus_control.domain.errors import ConflictError, InvalidError
from animus_control.domain.executors import executor_label_faults
from animus_control.domain.limits import Limits
from animus_control.domain.names import label_faults, name_faults, refuse


class Move(StrEnum):
    """What can happen to a run."""

    PLAN = "plan"
    AWAIT_APPROVAL = "await_approval"
    QUEUE = "queue"
    LEASE = "lease"
    RETURN = "return"
    START = "start"
    LOSE = "lose"
    RECOVER = "recover"
    GIVE_UP = "give_up"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


S, M = RunState, Move
# An attempt whose lease was lost may still end truthfully while nobody else can hold the run, hence the ends of
# ``unknown`` and ``reconciling``. A run that was never started cannot have succeeded.
TRANSITIONS: Mapping[RunState, Mapping[Move, RunState]] = {
    S.CREATED: {M.PLAN: S.PLANNED, M.CANCEL: S.CANCELED},
    S.PLANNED: {M.AWAIT_APPROVAL: S.AWAITING_APPROVAL, M.QUEUE: S.QUEUED, M.CANCEL: S.CANCELED},
    S.AWAITING_APPROVAL: {M.QUEUE: S.QUEUED, M.CANCEL: S.CANCELED},
    S.QUEUED: {M.LEASE: S.DISPATCHING, M.FAIL: S.FAILED, M.CANCEL: S.CANCELED},
    S.DISPATCHING: {M.START: S.RUNNING, M.RETURN: S.QUEUED, M.FAIL: S.FAILED, M.CANCEL: S.CANCELED},
    S.RUNNING: {M.LOSE: S.UNKNOWN, M.SUCCEED: S.SUCCEEDED, M.FAIL: S.FAILED, M.CANCEL: S.CANCELED},
    S.UNKNOWN: {
        M.RECOVER: S.RUNNING,
        M.GIVE_UP: S.RECONCILING,
        M.SUCCEED: S.SUCCEEDED,
        M.FAIL: S.FAILED,
        M.CANCEL: S.CANCELED,
    },
    S.RECONCILING: {M.RECOVER: S.RUNNING, M.SUCCEED: S.SUCCEEDED, M.FAIL: S.FAILED, M.CANCEL: S.CANCELED},
    S.SUCCEEDED: {},
    S.FAILED: {},
    S.CANCELED: {},
}
RANGES: Mapping[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "priority": (-100, 100),
    "queue_seconds": (1, 30 * 24 * 3600),
    "cell_seconds": (0.1, 30 * 24 * 3600),
    "retries": (0, 5),
}
"""What a submission's numbers may be, both ends included."""

COMMIT = re.compile(r"[0-9a-f]{40}")
SCP_LIKE = re.compile(r"git@[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)[A-Za-z0-9._~/-]+")
REPOSITORY = re.compile(r"(?P<scheme>[a-z]+)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)")
AUTHORITY = re.compile(r"(?:git@)?[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?")


def advance(run: Run, move: Move, now: datetime, **changes: Any) -> Run:
    """Return the run after a move.

    Args:
        run: The run as it is.
        move: What happens.
        now: When.
        changes: Other mutable fields that change with it.

    Raises:
        ConflictError: ``run_terminal`` when the run has ended, ``invalid_transition`` when the table has no such move.
    """
    state = TRANSITIONS[run.state].get(move)
    if state is None:
        code = "run_terminal" if run.state in TERMINAL_STATES else "invalid_transition"
        raise ConflictError(code, f"a run that is {run.state} cannot {move.replace('_', ' ')}")
    if state is RunState.QUEUED and run.queued_at is None:  # a returned run keeps its place in the queue
        changes["queued_at"] = now
    if state is RunState.RUNNING and run.started_at is None:
        changes["started_at"] = now
    if state in TERMINAL_STATES:
        changes["finished_at"] = now
    return msgspec.structs.replace(run, state=state, version=run.version + 1, **changes)


def merged(known: Sequence[Limitation], found: Sequence[Limitation]) -> list[Limitation]:
    """Return limitations without repetition, in alphabetical order."""
    return sorted({*known, *found})


def scheme_of(repository: str) -> str | None:
    """Return how a repository is reached (``ssh`` for ``git@host:path``), or None when it is no address we accept."""
    if SCP_LIKE.fullmatch(repository):
        return "ssh"
    match = REPOSITORY.fullmatch(repository)
    if match is None or UNPRINTABLE.search(repository) or " " in repository:
        return None
    is_file = match["scheme"] == "file"
    if is_file != (match["authority"] == "") or not (is_file or AUTHORITY.fullmatch(match["authority"])):
        return None
    return match["scheme"]


def code_faults(code: CodeRef, limits: Limits) -> list[Fault]:
    """Check repository address, commit and path of a code reference."""
    faults = place_faults(code.repository, code.path, limits, at="$.code")
    if not COMMIT.fullmatch(code.commit):
        words = f"must be a full commit id of 40 lower-case hexadecimal characters, not {code.commit[:80]!r}"
        faults.append(Fault(path="$.code.commit", code="not_a_commit", message=f"{words}; a branch is not a commit"))
    return faults


def place_faults(repository: str, path: str, limits: Limits, *, at: str) -> list[Fault]:
    """Check a repository's address and the path of a notebook in it; ``at`` is where a request names them."""
    faults = []
    scheme = scheme_of(repository) if len(repository) <= limits.description_characters else None
    if scheme not in limits.repository_schemes:
        allowed = ", ".join(sorted(limits.repository_schemes))
        words = f"must be a repository address without password, reached by one of: {allowed}"
        faults.append(Fault(path=f"{at}.repository", code="invalid_repository", message=words))
    if fault := path_fault(path):
        faults.append(Fault(path=f"{at}.path", code="invalid_path", message=fault))
    elif not path.endswith(".ipynb"):
        faults.append(Fault(path=f"{at}.path", code="invalid_path", message="must name a notebook (.ipynb)"))
    return faults


def check_submission(message: SubmitRun, limits: Limits) -> None:
    """Check everything in a submission that can be checked without looking anything up.

    Raises:
        InvalidError: ``invalid_code_ref``, ``secret_in_parameters``, ``parameter_invalid`` or ``invalid_request``, with
            every fault of its kind.
    """
    remedy = "Commit the notebook and give the full commit id: git rev-parse HEAD"
    refuse(code_faults(message.code, limits), code="invalid_code_ref", remedy=remedy)
    refuse_secrets(message.parameters)
    refuse(parameter_faults(message.parameters_schema, message.parameters), code="parameter_invalid")
    refuse(shape_faults(message, limits))


def secret_faults(parameters: Mapping[str, Any]) -> list[Fault]:
    """Find parameters that look like credentials, naming the rule and never the value."""
    found = {name: rule for name, value in parameters.items() if (rule := secret_rule(name, value))}
    return [
        Fault(path=f"$.parameters.{name[:80]}", code=rule, message=f"looks like a credential by the rule {rule!r}")
        for name, rule in found.items()
    ]


def refuse_secrets(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that look like credentials.

    Raises:
        InvalidError: ``secret_in_parameters``.
    """
    faults = secret_faults(parameters)
    if not faults:
        return
    raise InvalidError(
        "secret_in_parameters",
        f"{faults[0].path} {faults[0].message}",
        faults=faults,
        remedy="Parameters are stored and shown to every member of the project. Let the environment give the secret.",
    )


def shape_faults(message: SubmitRun, limits: Limits) -> list[Fault]:
    """Check names, numbers and sizes of a submission."""
    faults = label_faults(message.labels, limits)
    for name, most, things in (
        ("datasets", limits.bindings, [*message.datasets, *message.artifacts]),
        ("outputs", limits.outputs, message.outputs),
    ):
        if len(things) > most:
            faults.append(
                Fault(path=f"$.{name}", code="too_many", message=f"must be at most {most}, not {len(things)}")
            )
    for kind, names in (("datasets", message.datasets), ("artifacts", message.artifacts)):
        for name in names:
            faults += name_faults(name, rule="binding", path=f"$.{kind}")
    for name in sorted(set(message.datasets) & set(message.artifacts)):
        faults.append(Fault(path=f"$.artifacts.{name}", code="duplicate_name", message="is the name of a dataset too"))
    for index, output in enumerate(message.outputs):
        if fault := path_fault(output):
            faults.append(Fault(path=f"$.outputs[{index}]", code="invalid_path", message=fault))
    if len(set(message.outputs)) != len(message.outputs):
        faults.append(Fault(path="$.outputs", code="duplicate_name", message="two outputs have the same name"))
    faults += executor_label_faults(message.executor_labels, limits, path="$.executor_labels")
    return faults + _range_faults(message) + (resource_faults(message.resources) if message.resources else [])


def _range_faults(message: SubmitRun) -> list[Fault]:
    values = {name: getattr(message, name) for name in RANGES}
    return [
        Fault(path=f"$.{name}", code="out_of_range", message=f"must be from {least} to {most}, not {values[name]}")
        for name, (least, most) in RANGES.items()
        if values[name] is not None and not least <= values[name] <= most
    ]
