# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the words of the vocabularies mean, for people; a word without a meaning stops the generator."""

from __future__ import annotations

from animus_contracts.audit import Action
from animus_contracts.runs import FailureReason, Limitation, RunState

ACTIONS: dict[Action, str] = {
    Action.ACCESS_DENIED: "A caller was refused: wrong role, token ceiling too low, or not an administrator.",
    Action.APPROVAL_APPROVED: "Another person approved a run; the policies were asked again and it was queued.",
    Action.APPROVAL_DENIED: "Somebody approved a run, but the policies still refuse it; it keeps waiting.",
    Action.APPROVAL_EXPIRED: "Nobody decided an approval in time; the run was canceled.",
    Action.APPROVAL_REFUSED: "Another person refused a run; it was canceled.",
    Action.APPROVAL_REQUESTED: "A run was admitted that waits for another person's approval.",
    Action.APPROVAL_WITHDRAWN: "A run was canceled while it waited for an approval.",
    Action.ARTIFACT_CREATED: "An artifact became visible with the end of its run.",
    Action.ARTIFACT_DOWNLOADED: "Somebody downloaded an artifact.",
    Action.COMPARISON_CREATED: "Two runs are to be compared, because somebody asked or a replay is to be verified.",
    Action.COMPARISON_ENDED: "Two runs were compared; the verdict is stored.",
    Action.DATASET_CREATED: "A dataset was created, still without versions.",
    Action.DATASET_VERSION_CREATED: "A version of a dataset was made of uploaded files.",
    Action.DATASET_VERSION_DOWNLOADED: "Somebody downloaded a file of a dataset version.",
    Action.ENVIRONMENT_ARCHIVED: "An environment was archived; it can no longer be locked.",
    Action.ENVIRONMENT_DEFINED: "The next version of an environment was defined.",
    Action.ENVIRONMENT_LOCKED: "An environment was pinned.",
    Action.EXECUTION_ENDED: "An executor gave its verdict on an attempt; the run ended with it.",
    Action.EXECUTION_LEASED: "An executor took a run.",
    Action.EXECUTION_LOST: "An attempt was given up because its executor did not come back.",
    Action.EXECUTION_STARTED: "An attempt started; the dispatch token was exchanged for a run token.",
    Action.INSPECTION_CREATED: "The data plane was asked to look at a notebook in a repository.",
    Action.INSPECTION_ENDED: "The data plane has looked at a notebook, or nobody could.",
    Action.EXECUTOR_REGISTERED: "An executor asked for work for the first time, or as another than before.",
    Action.OBJECT_STORED: "Bytes were uploaded to a project for the first time.",
    Action.PIPELINE_CANCELED: "Somebody stopped a pipeline run.",
    Action.PIPELINE_CREATED: "A pipeline was admitted, with everything its runs are bound to.",
    Action.PIPELINE_ENDED: "Nothing in a pipeline run waits or runs any more; its state is final.",
    Action.PIPELINE_NODE_ENDED: "The run of a node ended, or was refused when it was its turn.",
    Action.PIPELINE_NODE_HELD: "A node waits until the Hub has said to which groups its owner belongs.",
    Action.PIPELINE_NODE_SKIPPED: "A node will not be run, for the reason given.",
    Action.PIPELINE_NODE_SUBMITTED: "A node's run was submitted in the owner's name, or retried by the platform.",
    Action.PIPELINE_REPAIRED: "A new pipeline run took over what was good in this one.",
    Action.POLICY_DECIDED: "A policy was asked again at the start of a run and ended it.",
    Action.POLICY_SNAPSHOT_MATERIALIZED: "A new set of policies was frozen as a snapshot.",
    Action.POLICY_STORED: "The next version of a policy was stored.",
    Action.PREFLIGHT_CREATED: "A submission was checked without being submitted.",
    Action.PREFLIGHT_ENDED: "The checks of a submission are complete.",
    Action.PROJECT_ARCHIVED: "A project became read-only.",
    Action.PROJECT_CREATED: "A project was created.",
    Action.PROJECT_UNARCHIVED: "A project became writable again.",
    Action.PROJECT_UPDATED: "A project's description or labels changed.",
    Action.QUOTA_STORED: "The next version of a project's quota was stored.",
    Action.ROLE_BINDING_DELETED: "A role was taken away from a subject.",
    Action.ROLE_BINDING_STORED: "A role was given to a subject.",
    Action.RUN_CANCEL_REQUESTED: "Somebody asked for a run that an executor holds to be stopped.",
    Action.RUN_CREATED: "A run was admitted and queued.",
    Action.RUN_REFUSED: "A policy refused a submission; the decision is stored.",
    Action.RUN_RETRY_HELD: "A retry waits until the Hub has said to which groups the run's owner belongs.",
    Action.RUN_RETRY_REFUSED: "A run that failed by the platform's fault could not be retried in its owner's name.",
    Action.RUN_RETRY_SCHEDULED: "A run that failed by the platform's fault is retried, as a new run.",
    Action.RUN_RETRY_WITHDRAWN: "A retry that waited for the Hub is not made, because somebody canceled it.",
    Action.RUN_STATE_CHANGED: "A run changed its state for a reason that has no action of its own.",
    Action.SCHEDULE_CREATED: "A schedule was created.",
    Action.SCHEDULE_FIRED: "A schedule was due; the details say what became of it.",
    Action.SCHEDULE_PAUSED: "A schedule was paused.",
    Action.SCHEDULE_RESUMED: "A paused schedule goes on.",
    Action.SCHEDULE_RETIRED: "A schedule was ended for ever.",
    Action.TOKEN_REJECTED: "A dispatch or run token was wrong, expired, used up, or bound to something else.",
}

STATES: dict[RunState, str] = {
    RunState.CREATED: "The submission is being decided.",
    RunState.PLANNED: "The plan is bound; nothing is promised yet.",
    RunState.AWAITING_APPROVAL: "A policy wants another person's approval first.",
    RunState.QUEUED: "Waiting for an executor.",
    RunState.DISPATCHING: "An executor holds the lease and prepares the run.",
    RunState.RUNNING: "The attempt has started.",
    RunState.UNKNOWN: "The lease expired while running; the executor may still come back.",
    RunState.RECONCILING: "The executor did not come back in time; the run is about to fail.",
    RunState.SUCCEEDED: "The executor's verdict: every cell ended well and every promised output is there.",
    RunState.FAILED: "Ended otherwise; the failure says why.",
    RunState.CANCELED: "Stopped because somebody asked for it.",
}

FAILURES: dict[FailureReason, str] = {
    FailureReason.USER_CODE: "A cell raised an exception, or a promised output was not written.",
    FailureReason.TIMEOUT: "The wall-clock limit was reached, or the longest time it may wait for an executor.",
    FailureReason.OUT_OF_MEMORY: "The memory limit was reached.",
    FailureReason.KILLED: "The kernel died by a signal or left by itself.",
    FailureReason.ENVIRONMENT: "The environment lock could not be realised or its cache was tampered with.",
    FailureReason.INPUT: "Commit, notebook, parameter schema or dataset bytes are not what the run was bound to.",
    FailureReason.INFRASTRUCTURE: "The platform failed: an executor was lost, or could not do its part.",
    FailureReason.POLICY: "A policy refused the run when it was about to start.",
}

LIMITATIONS: dict[Limitation, str] = {
    Limitation.DIRTY_WORKTREE: "The worktree had changes beyond the last commit; a snapshot commit was run instead.",
    Limitation.NETWORK_NOT_ISOLATED: "The machine does not allow a network namespace; the run could reach the network.",
    Limitation.FILESYSTEM_NOT_ISOLATED: "The machine does not allow a mount namespace; the run could see other files.",
    Limitation.MEMORY_NOT_LIMITED: "The machine offers no way to limit the run's memory.",
    Limitation.SEED_NOT_SET: "No seed was given, so random numbers may differ in a repetition.",
    Limitation.EVENTS_MISSING: "The executor had no room for all events: the live story has a gap, the outputs none.",
}

ABOUT_AUDIT = """The source is `animus_contracts.audit.Action`. Every change is recorded in the transaction that
makes it; refusals are recorded in one of their own."""
ABOUT_ENDPOINTS = """The source is `animus_contracts.endpoints`; paths are below `/api/v1`. Messages and their
fields are in [openapi.json](openapi.json), which the server also gives at `/api/v1/openapi.json`."""
ABOUT_ERRORS = """The source is `animus_contracts.problems.CODES`. Errors are RFC 9457 problem details; `code` is
stable, `detail` says what was wrong and where, `remedy` how to mend it."""
ABOUT_PERMISSIONS = """The source is `animus_control.domain.permissions`. Each role includes the ones before it. A
right is the lesser of the best role binding and the ceiling of the token in use; who has none is told that the
project does not exist."""
ABOUT_POLICIES = """The source is `animus_control/domain/default_policies`. They hold in every project; a project's
own policies are added to them and cannot permit what one of them forbids."""
ABOUT_SETTINGS = """Settings are environment variables; an unknown one stops the start."""
ABOUT_STATES = """The source is `animus_control.domain.runs.TRANSITIONS`: what is not in the table does not happen."""
ABOUT_COMMANDS = """The source is `animus.grammar`. The same verbs work as `%animus …` in a notebook. Every command
takes `--json`, `--project NAME` and `--help`. Exit status: 0 done; 1 the run that was waited for did not succeed; 2
the command cannot be carried out as given; 3 refused by the control plane; 4 no answer, or not now."""
