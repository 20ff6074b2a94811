# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What crosses between the two processes arrives as it left, and everybody gets an answer that is their own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from animus_contracts.datasets import StoredObject
from animus_contracts.decoding import convert
from animus_contracts.digests import digest_bytes
from animus_contracts.endpoint import Body, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.identifiers import ExecutionId, ProjectId, RunId
from animus_contracts.problems import Fault
from animus_contracts.projects import Role
from animus_control.api import problems
from animus_control.api.desk import Request, Tell
from animus_control.api.idempotency import Answer, Key
from animus_control.api.link import DeskServer, RemoteDesk
from animus_control.api.rejections import Rejection, TokenOf
from animus_control.domain.errors import AnimusError, ConflictError, DeniedError, InvalidError
from animus_control.domain.identity import EVERY_PROJECT, Principal, PrincipalKind, RunClaim

GOLDEN = Path(__file__).parents[3] / "contracts" / "golden"
ANN = Principal(
    name="ann",
    kind=PrincipalKind.USER,
    groups=frozenset({"physics", "staff"}),
    platform_admin=True,
    ceiling={EVERY_PROJECT: Role.ADMIN, "demo": Role.VIEWER},
    token_id="t1",
)
RUNNER = Principal(
    name="r1",
    kind=PrincipalKind.RUN,
    run=RunClaim(run_id=RunId("r1"), project_id=ProjectId("p1"), execution_id=ExecutionId("e1"), epoch=3),
)
REFUSALS = (
    DeniedError("forbidden", "Your role does not include it.", remedy="Ask an administrator."),
    InvalidError("invalid_request", faults=[Fault(path="$.name", code="invalid", message="is too long")]),
    ConflictError("duplicate_content", "It is there.", extra={"version_id": "v1", "ordinal": 3, "of": [{"a": None}]}),
)


def a_request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "operation": "projects.list",
        "principal": ANN,
        "path": {"project": "demo"},
        "request_id": "request-1",
    }
    return Request(**values | changes)


class Clerk:
    """A desk that notes what it is asked, and answers as it was told."""

    def __init__(self, answering: Callable[[Request], Awaitable[Answer]] | None = None) -> None:
        self.asked: list[Any] = []
        self._tasks: list[asyncio.Task[Answer]] = []
        self._answering = answering

    async def perform(self, request: Request) -> Answer:
        self.asked.append(request)
        return await self._answering(request) if self._answering else Answer(200, b"{}")

    def begin(self, request: Request, tell: Tell) -> None:
        def told(task: asyncio.Task[Answer]) -> None:
            error = task.exception()
            assert error is None or isinstance(error, Exception)
            tell(None if error else task.result(), error)

        self._tasks.append(asyncio.get_running_loop().create_task(self.perform(request)))
        self._tasks[-1].add_done_callback(told)

    async def deny(self, request: Request, code: str) -> None:
        self.asked.append((request, code))

    async def reject(self, rejection: Rejection) -> None:
        self.asked.append(rejection)

    async def check(self) -> None:
        raise AnimusError("storage_full")


class Ends(NamedTuple):
    """Both ends of a link."""

    desk: RemoteDesk
    server: DeskServer
    woken: list[str]


def linked(clerk: Clerk, scenario: Callable[[Ends], Awaitable[None]]) -> None:
    """Run a scenario on two ends that are joined by a real socket."""

    async def run() -> None:
        loop, woken = asyncio.get_running_loop(), list[str]()
        here, there = socket.socketpair()
        _, server = await loop.create_unix_connection(lambda: DeskServer(clerk), sock=there)
        _, desk = await loop.create_unix_connection(lambda: RemoteDesk(woken.append), sock=here)
        try:
            await scenario(Ends(desk, server, woken))
        finally:
            desk.close()
            server.close()
            await asyncio.wait([desk.lost, server.lost], timeout=5)
            if not desk.ready.done():
                desk.ready.cancel()
            elif not desk.ready.cancelled():
                desk.ready.exception()

    asyncio.run(asyncio.wait_for(run(), 20))


def a_message(endpoint: Endpoint) -> Any:
    """Return something that may be said to an endpoint: the golden sample of its type."""
    if endpoint.consumes is Body.BYTES:
        return StoredObject(digest=digest_bytes(b"x"), size_bytes=1)
    if endpoint.request is None:
        return None
    return convert(json.loads((GOLDEN / f"{endpoint.request.__name__}.json").read_bytes()), endpoint.request)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_every_operation_is_asked_as_it_was_sent(endpoint: Endpoint) -> None:
    sent = a_request(
        operation=endpoint.operation,
        principal=RUNNER,
        message=a_message(endpoint),
        if_match=4,
        key=Key("scope", "value", "fingerprint"),
    )
    clerk = Clerk()

    async def scenario(ends: Ends) -> None:
        await ends.desk.perform(sent)

    linked(clerk, scenario)
    assert clerk.asked == [sent]


def test_an_answer_arrives_whole() -> None:
    answer = Answer(201, b'{"big": "' + b"x" * 3_000_000 + b'"}', location="/runs/1", version=7, replayed=True)

    async def answering(_: Request) -> Answer:
        return answer

    async def scenario(ends: Ends) -> None:
        assert await ends.desk.perform(a_request()) == answer

    linked(Clerk(answering), scenario)


def test_everybody_gets_their_own_answer_however_the_desk_orders_them() -> None:
    async def answering(request: Request) -> Answer:
        number = int(request.request_id)
        await asyncio.sleep(0.001 * (number * 7 % 10))
        return Answer(200, str(number).encode())

    async def scenario(ends: Ends) -> None:
        answers = await asyncio.gather(*[ends.desk.perform(a_request(request_id=str(n))) for n in range(200)])
        assert [int(answer.body) for answer in answers] == list(range(200))

    linked(Clerk(answering), scenario)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_a_refusal_is_told_in_the_same_words_on_both_sides(refusal: AnimusError) -> None:
    async def answering(_: Request) -> Answer:
        raise refusal

    async def scenario(ends: Ends) -> None:
        with pytest.raises(AnimusError) as caught:
            await ends.desk.perform(a_request())
        here, there = (problems.build_problem(error, request_id="r") for error in (caught.value, refusal))
        assert problems.encode(here) == problems.encode(there)

    linked(Clerk(answering), scenario)


def test_what_nobody_foresaw_is_logged_where_it_happened_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def answering(_: Request) -> Answer:
        raise LookupError("the password is hunter2")

    async def scenario(ends: Ends) -> None:
        with pytest.raises(AnimusError, match="on our side") as caught:
            await ends.desk.perform(a_request())
        assert caught.value.code == "internal_error"
        assert "hunter2" not in str(caught.value)

    linked(Clerk(answering), scenario)
    [record] = caplog.records
    story = json.loads(record.message)
    assert (story["request_id"], story["operation"], story["type"]) == ("request-1", "projects.list", "LookupError")
    assert any("test_link.py" in frame for frame in story["frames"])


def test_denials_rejections_and_checks_cross() -> None:
    whose = TokenOf(project_id=ProjectId("p"), run_id=RunId("r"), execution_id=ExecutionId("e"))
    rejections = [
        Rejection(reason="expired", request_id="q", token_of=whose),
        Rejection(reason="unknown_or_revoked", request_id="q"),
    ]
    clerk = Clerk()

    async def scenario(ends: Ends) -> None:
        await ends.desk.deny(a_request(), "forbidden")
        for rejection in rejections:
            await ends.desk.reject(rejection)
        with pytest.raises(AnimusError) as caught:
            await ends.desk.check()
        assert caught.value.code == "storage_full"

    linked(clerk, scenario)
    assert clerk.asked == [(a_request(), "forbidden"), *rejections]


def test_channels_named_on_any_thread_wake_who_waits_each_once_for_a_group() -> None:
    async def scenario(ends: Ends) -> None:
        def name() -> None:
            for channel in ("run:1", "project:1", "run:1"):
                ends.server.wake(channel)

        thread = threading.Thread(target=name)
        thread.start()
        thread.join()  # nothing is told meanwhile: this is the loop's own thread
        while len(ends.woken) < 2:  # noqa: ASYNC110 - what is waited for is a plain list
            await asyncio.sleep(0.001)
        await ends.desk.deny(a_request(), "forbidden")
        assert ends.woken == ["run:1", "project:1"]

    linked(Clerk(), scenario)


def test_who_waits_when_the_other_process_dies_is_told_and_so_is_who_asks_later() -> None:
    async def answering(_: Request) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    async def scenario(ends: Ends) -> None:
        waiting = asyncio.create_task(ends.desk.perform(a_request()))
        await asyncio.sleep(0.01)
        ends.server.close()
        for asked in (waiting, ends.desk.perform(a_request())):
            with pytest.raises(AnimusError) as caught:
                await asked
            assert caught.value.code == "service_unavailable"
        with pytest.raises(AnimusError):
            await ends.desk.ready

    linked(Clerk(answering), scenario)


def test_a_caller_who_went_away_takes_nobodys_answer() -> None:
    async def answering(request: Request) -> Answer:
        await asyncio.sleep(0.02)
        return Answer(200, request.request_id.encode())

    async def scenario(ends: Ends) -> None:
        gone = asyncio.create_task(ends.desk.perform(a_request(request_id="gone")))
        there = asyncio.create_task(ends.desk.perform(a_request(request_id="there")))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await there).body == b"there"

    linked(Clerk(answering), scenario)


def test_messages_are_put_together_from_any_pieces() -> None:
    async def scenario(ends: Ends) -> None:
        pieces: list[bytes] = []
        ends.desk._transport = type("Pieces", (), {"write": lambda _, data: pieces.append(data), "close": bool})()
        asking = [asyncio.create_task(ends.desk.deny(a_request(request_id=str(n)), "forbidden")) for n in range(5)]
        await asyncio.sleep(0.01)
        for byte in b"".join(pieces):
            ends.server.data_received(bytes([byte]))
        await asyncio.gather(*asking)

    clerk = Clerk()
    linked(clerk, scenario)
    assert [request.request_id for request, _ in clerk.asked] == list("01234")
