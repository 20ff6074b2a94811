# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor is registered by asking for work; when it becomes another (platform, labels, protection) it is audited.

What it has free changes with every run, and when it was last heard of every few seconds: both are noted, not audited.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from animus_contracts.audit import Action
from animus_contracts.executions import Cancellations, CancellationsRequest, Capacity, LeaseRequest
from animus_contracts.executors import Executor
from animus_contracts.pages import ListQuery, Page
from animus_control.domain.executors import executor_faults
from animus_control.domain.names import refuse
from animus_control.domain.queue import Demand, after_lease
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork

SEEN_EVERY = timedelta(seconds=10)


def channel_of(executor: str) -> str:
    """Name the channel on which an executor waits for what concerns it alone."""
    return f"executor:{executor}"


@operation("executors.list")
def list_executors(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[Executor]:  # noqa: ARG001 - every operation has a call
    """List executors."""
    return paged(uow.executors.page, message)


@operation("executions.cancellations")
def list_cancellations(uow: UnitOfWork, call: Call, message: CancellationsRequest) -> Cancellations:
    """Tell an executor which of its attempts are to be stopped, besides those it knows of."""
    known = uow.executors.get(call.principal.name)
    if known is not None and call.now - known.last_seen_at >= SEEN_EVERY:
        uow.executors.touch(known.name, call.now)
    told = set(message.known)
    return Cancellations(cancel=[item for item in uow.executions.canceling(call.principal.name) if item not in told])


def note_request(uow: UnitOfWork, call: Call, message: LeaseRequest) -> Executor:
    """Note what an executor says of itself when it asks for a run.

    Raises:
        InvalidError: If it says something that no executor can have.
    """
    refuse(executor_faults(message, call.limits))
    known = uow.executors.get(call.principal.name)
    is_same = known is not None and capabilities(known) == capabilities(message)
    before = known if known is not None and is_same else None
    executor = Executor(
        name=call.principal.name,
        platform=message.platform,
        labels=message.labels,
        capacity=message.capacity,
        largest=_largest(before.largest, message.capacity) if before else message.capacity,
        limitations=message.limitations,
        registered_at=before.registered_at if before else call.now,
        last_seen_at=call.now,
    )
    if before and before.capacity == executor.capacity and call.now - before.last_seen_at < SEEN_EVERY:
        return before
    uow.executors.put(executor, known=known is not None, audited=not is_same)
    if not is_same:
        facts = {"platform": executor.platform, "labels": executor.labels, "limitations": executor.limitations}
        uow.audit.append(audited(call, Action.EXECUTOR_REGISTERED, f"executor:{executor.name}", details=facts))
    return executor


def note_lease(uow: UnitOfWork, executor: Executor, demand: Demand) -> None:
    """Note that an executor has less free, because it took a run."""
    left = after_lease(executor.capacity, demand)
    if left is not None:
        uow.executors.put(msgspec.structs.replace(executor, capacity=left), known=True, audited=False)


def capabilities(offer: Executor | LeaseRequest) -> tuple[object, ...]:
    """Return what makes an executor the one it is."""
    return offer.platform, offer.labels, sorted(offer.limitations)


def _largest(before: Capacity | None, now: Capacity | None) -> Capacity | None:
    if before is None or now is None:
        return None
    return Capacity(
        cpus=max(before.cpus, now.cpus),
        memory_mib=max(before.memory_mib, now.memory_mib),
        gpus=max(before.gpus, now.gpus),
    )
