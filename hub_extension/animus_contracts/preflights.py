# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What would become of a submission, told before it is made: every fault at once, and nothing is queued or counted."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.digests import Digest
from animus_contracts.identifiers import InspectionId, PreflightId, ProjectId
from animus_contracts.policies import Effect
from animus_contracts.runs import SubmitRun


class CheckName(StrEnum):
    """What is checked, in the order in which it is told. Values leave the process and never change."""

    SUBMISSION = "submission"
    PARAMETERS = "parameters"
    DATASETS = "datasets"
    ENVIRONMENT = "environment"
    RESOURCES = "resources"
    POLICY = "policy"
    QUOTA = "quota"
    EXECUTOR = "executor"
    COMMIT = "commit"
    NOTEBOOK = "notebook"
    HIDDEN_STATE = "hidden_state"


class CheckState(StrEnum):
    """How a check went; only ``failed`` keeps a submission from being ready."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    PENDING = "pending"


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One check; ``detail`` says what was found and where, ``remedy`` how to mend it."""

    name: CheckName
    state: CheckState
    detail: str = ""
    remedy: str = ""


class PolicyForecast(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the policies in force say now, as in a policy decision."""

    effect: Effect
    deciding: list[str]
    missing: list[str]
    reason: str
    snapshot_digest: Digest


class Preflight(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The checks of one submission.

    Attributes:
        submission: What was checked.
        inspection_id: The look at the notebook that the last checks wait for; None when it could not be asked for.
        checks: One for each name, in order.
        decision: What the policies say; None while the submission names things that are not there.
        ready: Whether it would be admitted and could start; None while a check is pending.
    """

    preflight_id: PreflightId
    project_id: ProjectId
    submission: SubmitRun
    created_at: datetime
    created_by: str
    inspection_id: InspectionId | None
    decision: PolicyForecast | None
    state: AnswerState
    checks: list[Check]
    ready: bool | None
    ended_at: datetime | None = None
