# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F8: callbacks come twice, out of order and two days late; the real services answer each as a page of rules does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.executions import EndExecution, Heartbeat, Lease, StartExecution, Verdict
from animus_contracts.run_events import NotebookStarted, ReportEvents
from animus_contracts.runs import Failure, FailureReason, SubmitRun
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import SYSTEM, Principal
from animus_control.services import access
from animus_control.services.ports import UnitOfWork
from animus_control.services.reconcile import reconcile
from animus_control.storage.engine import open_database
from tests.faults.attempt_model import AttemptModel
from tests.faults.campaign import Campaign, sized
from tests.faults.invariants import Promised, broken_invariants
from tests.faults.observers import held_by
from tests.unit.control.services.desk import LOCAL, Desk, runner_of

SEQUENCES = sized(600, 100_000)
AT_ONCE = 40
BROKE = Failure(reason=FailureReason.USER_CODE, summary="It broke.")


@dataclass(frozen=True, slots=True)
class Callback:
    """What an executor or a runner says, once or again."""

    lease: Lease
    kind: str
    first: int = 0
    count: int = 0
    verdict: Verdict = Verdict.SUCCEEDED
    event_id: str = ""


def story(lease: Lease, chance: random.Random) -> Iterator[Callback]:
    """Tell one attempt from its start to its end, in order."""
    yield Callback(lease, "start")
    first = 1
    for _ in range(chance.randint(0, 4)):
        count = chance.randint(1, 3)
        yield Callback(lease, "report", first=first, count=count)
        first += count
        if chance.random() < 0.5:
            yield Callback(lease, "heartbeat")
    verdict = chance.choice(list(Verdict))
    yield Callback(lease, "end", verdict=verdict, event_id="end")
    if chance.random() < 0.2:  # somebody contradicts
        other = chance.choice(["end", "other"])
        yield Callback(lease, "end", verdict=chance.choice(list(Verdict)), event_id=other)


def disturbed(callbacks: list[Callback], chance: random.Random) -> list[Callback]:
    """Repeat each up to five times, and let some overtake others."""
    weights = (60, 20, 10, 5, 5)
    told = [callback for callback in callbacks for _ in range(chance.choices(range(1, 6), weights)[0])]
    reach = chance.choice([0, 0, 1, 3, len(told)])
    return [each for _, each in sorted(enumerate(told), key=lambda item: item[0] + chance.uniform(0, reach))]


def interleaved(stories: list[list[Callback]], chance: random.Random) -> Iterator[Callback]:
    """Tell all stories at once."""
    left = [iter(each) for each in stories]
    while left:
        teller = chance.choice(left)
        callback = next(teller, None)
        if callback is None:
            left.remove(teller)
        else:
            yield callback


def message_of(desk: Desk, callback: Callback) -> tuple[Principal, str, Any]:
    """Return who says it, by which operation, in which words."""
    lease, epoch = callback.lease, callback.lease.epoch
    match callback.kind:
        case "start":
            return LOCAL, "executions.start", StartExecution(epoch=epoch, dispatch_token=lease.dispatch_token)
        case "heartbeat":
            return LOCAL, "executions.heartbeat", Heartbeat(epoch=epoch)
        case "report":
            numbers = range(callback.first, callback.first + callback.count)
            events = [NotebookStarted(sequence=number, at=desk.now, cells_total=1) for number in numbers]
            return runner_of(lease), "executions.report", ReportEvents(epoch=epoch, events=list(events))
    failure = BROKE if callback.verdict is Verdict.FAILED else None
    end = EndExecution(event_id=callback.event_id, epoch=epoch, verdict=callback.verdict, failure=failure)
    return LOCAL, "executions.end", end


def expected(model: AttemptModel, callback: Callback, desk: Desk) -> object:
    """Return what must be answered, by the model."""
    match callback.kind:
        case "start":
            return model.start(desk.now)
        case "heartbeat":
            return model.heartbeat(desk.now)
        case "report":
            return model.report(callback.first, callback.count)
    return model.end(callback.event_id, callback.verdict)


def answered(kind: str, future: Future[Any]) -> object:
    """Return what was answered, in the model's words."""
    try:
        answer = future.result(60)
    except AnimusError as error:
        return error.code
    match kind:
        case "start":
            return "started"
        case "heartbeat":
            return "renewed"
        case "report":
            return answer.last_sequence
    return (answer.state, answer.duplicate)


def send(desk: Desk, callback: Callback) -> Future[Any]:
    """Queue a callback behind those before it, without waiting for its answer."""
    who, operation, message = message_of(desk, callback)
    call = desk.call(who, execution=callback.lease.execution_id)
    return desk.database.write(
        partial(access.perform, call=call, endpoint=BY_OPERATION[operation], message=message),
    )


def tell(desk: Desk, submission: SubmitRun, chance: random.Random, f8: Campaign) -> list[str]:
    """Tell some stories at once, and name every answer that is not the model's."""
    limits, leases = desk.limits, []
    models: dict[str, AttemptModel] = {}
    for _ in range(AT_ONCE):
        desk.submit(submission)
        lease = desk.leased()
        leases.append(lease)
        until = desk.now + limits.lease
        wall = timedelta(seconds=lease.plan.resources.wall_seconds)
        models[lease.execution_id] = AttemptModel(limits.lease, limits.run_token, wall, limits.overtime, until, until)
    told: list[tuple[Callback, object, Future[Any]]] = []
    for callback in interleaved([disturbed(list(story(lease, chance)), chance) for lease in leases], chance):
        if chance.random() < 0.02:
            desk.later(chance.choice([5, 20, 31, 31, 400, 48 * 3600]))
            f8.faults["delayed"] += 1
        if chance.random() < 0.03:
            call = desk.call(SYSTEM)
            desk.database.write(partial(_reconcile, call=call))
            for model in models.values():
                model.reconcile(desk.now)
        told.append((callback, expected(models[callback.lease.execution_id], callback, desk), send(desk, callback)))
        f8.faults["callbacks"] += 1
    wrong = [
        f"I2: {callback} was answered {said} instead of {wanted}"
        for callback, wanted, future in told
        if (said := answered(callback.kind, future)) != wanted
    ]
    for lease in leases:
        run = desk.read(lambda uow, lease=lease: uow.runs.get(lease.project_id, lease.run_id))
        model = models[lease.execution_id]
        if run is None or run.state is not model.state:
            wrong.append(f"I1: run {lease.run_id} is {run and run.state} instead of {model.state}")
    return wrong


def _reconcile(uow: UnitOfWork, call: Any) -> int:
    return reconcile(uow, call, timedelta(hours=1))


def finish_all(desk: Desk) -> None:
    """Lease what went back to the queue and end it, so that the next round meets only its own."""
    while (lease := desk.lease()) is not None:
        desk.end(lease, Verdict.CANCELED)


@pytest.mark.faults
@pytest.mark.timeout(sized(300, 4 * 3600))
def test_every_callback_is_answered_as_the_model_says(sqlite_url: str, campaign: Callable[[str], Campaign]) -> None:
    f8 = campaign("F8 callbacks repeated, permuted, delayed")
    chance = f8.chance()
    database = open_database(sqlite_url)
    desk = Desk(database)
    project = desk.project()
    submission = desk.submission()
    wrong: list[str] = []
    while f8.runs < SEQUENCES and not wrong:
        wrong += tell(desk, submission, chance, f8)
        f8.runs += AT_ONCE
        finish_all(desk)
    observed = held_by(database, project.project_id) if f8.runs <= 5000 else None
    database.close()
    promised = Promised(reasons=frozenset(FailureReason), settled=False)
    f8.finish(wrong + (broken_invariants(observed, promised) if observed else []))
