# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What brought a run about, when it was not a person: the run it repeats, a schedule or a pipeline.

It is fixed when the run is created, and no part of its inputs hash: what is computed does not depend on it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from animus_contracts.identifiers import FiringId, PipelineRunId, RunId, ScheduleId


class Relation(StrEnum):
    """Why a run repeats another one."""

    RETRY = "retry"
    RERUN = "rerun"
    REPLAY = "replay"


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The run that this one repeats.

    Attributes:
        relation: ``retry`` (the platform's doing, after a failure of the infrastructure), ``rerun`` (same inputs,
            today's rules) or ``replay`` (the stored plan, verbatim).
        run_id: The run that is repeated.
        first_run_id: The run at the beginning of the chain.
        number: How many repetitions of this relation lie between the first run and this one, this one included.
    """

    relation: Relation
    run_id: RunId
    first_run_id: RunId
    number: int


class ScheduleRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The firing of a schedule that submitted a run."""

    schedule_id: ScheduleId
    firing_id: FiringId


class NodeRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The place of a run in a pipeline run: its node, and its item when the node is a sweep."""

    pipeline_run_id: PipelineRunId
    node: str
    item: int | None = None
