# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every bound the control plane sets, in one place; an installation may change them, a caller never."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds and periods.

    Attributes:
        lease: How long a lease lasts without a heartbeat, and again how long a lost one may still come back.
        run_token: How long a run token lives after its last renewal.
        dispatch_attempts: How often a run is handed out without ever starting before it fails.
        repository_schemes: How repositories may be reached; ``file`` is for one machine only.
        name_bytes: Longest name of an artifact, metric or output, in bytes of UTF-8.
        description_characters: Longest description.
        labels: Most labels on one thing.
        label_characters: Longest key or value of a label.
        dataset_files: Most files in one dataset version.
        requirements_bytes: Longest lock text.
        policy_bytes: Longest policy text.
        overtime: How long a run past its wall time is waited for before it is ended without its executor.
        executor_seen: How long an executor that says nothing counts as one that could take a run.
        executor_labels: Most labels of an executor, and most that a run may ask for.
        bindings: Most datasets bound to one run.
        outputs: Most outputs a run may promise.
        artifacts: Most artifacts of one run.
        events_per_report: Most events in one report of the data plane.
        lineage_edges: Most edges in one lineage answer.
        approval: How long an approval may be decided.
        schedule_interval: Least time between two firings of a schedule.
        schedules: Most schedules of one project that are not retired.
        groups_known: How long the Hub's word about somebody's groups counts when something is done in their name.
        hold: How long a firing or a retry waits for the Hub, or for its branch, before it is given up.
        task_lease: How long an executor may take for a task.
        task_attempts: How often a task is handed out before it is given up.
        retry_base: How long the first automatic retry of a run waits; each further one waits twice as long.
        retry_longest: How long an automatic retry waits at most.
    """

    lease: timedelta = timedelta(seconds=30)
    run_token: timedelta = timedelta(minutes=5)
    dispatch_attempts: int = 5
    repository_schemes: frozenset[str] = frozenset({"https"})
    name_bytes: int = 512
    description_characters: int = 4096
    labels: int = 64
    label_characters: int = 256
    dataset_files: int = 20_000
    requirements_bytes: int = MEBIBYTE
    policy_bytes: int = 64 * 1024
    overtime: timedelta = timedelta(seconds=75)
    executor_seen: timedelta = timedelta(seconds=90)
    executor_labels: int = 16
    bindings: int = 64
    outputs: int = 256
    artifacts: int = 4096
    events_per_report: int = 2000
    lineage_edges: int = 2000
    approval: timedelta = timedelta(days=7)
    schedule_interval: timedelta = timedelta(minutes=1)
    schedules: int = 200
    groups_known: timedelta = timedelta(seconds=30)
    hold: timedelta = timedelta(hours=1)
    task_lease: timedelta = timedelta(minutes=3)
    task_attempts: int = 3
    retry_base: timedelta = timedelta(seconds=5)
    retry_longest: timedelta = timedelta(minutes=5)

    @property
    def heartbeat(self) -> timedelta:
        """How often an executor is asked to renew; a lease outlives five missed ones."""
        return self.lease / 6


DEFAULT_LIMITS = Limits()
