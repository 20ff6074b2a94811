# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is repeated and what is not when the network or the server says no; a lost answer never doubles a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import pytest

from animus import session as sessions
from animus.client import Client
from animus.errors import AnimusError, RefusedError, UnreachableError
from animus.following import messages
from animus.pending import key_for
from animus.session import Session
from animus.transport import ATTEMPTS, LONGEST_WAIT, Transport, pause
from animus_contracts.projects import CreateProject
from animus_contracts.runs import CodeRef, SubmitRun

SESSION = Session(url="http://127.0.0.1:1", token="canary-token", project="p")
IDENTITY = {
    "name": "ann", "kind": "user", "platform_admin": False, "groups": [], "scopes": [], "memberships": [],
}  # fmt: skip
SUBMISSION = SubmitRun(
    code=CodeRef(repository="https://git.example.org/r.git", commit="0" * 40, path="n.ipynb"),
    environment_lock_id="lock",
)
Answers = list[httpx.Response | Exception]


def problem(status: int, code: str, *, retryable: bool = False, **more: object) -> httpx.Response:
    body = {"type": "t", "title": "Title", "status": status, "code": code, "retryable": retryable} | more
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


class Network:
    """Gives the answers it was given, one after another, and keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers: Answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        http = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.transport = Transport(SESSION, http=http, sleep=self.waits.append)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def read(transport: Transport) -> object:
    return transport.call("identity.read")


def create(transport: Transport) -> object:
    return transport.call("projects.create", body=CreateProject(name="p"))


def delete(transport: Transport) -> object:
    return transport.call("role_bindings.delete", {"project": "p", "binding": "b"})


def upload(transport: Transport) -> object:
    return transport.upload("objects.put", {"project": "p", "digest": "d"}, lambda: iter([b"ab", b"c"]), 3)


@pytest.mark.parametrize(
    ("call", "attempts"), [(read, ATTEMPTS), (create, ATTEMPTS), (upload, ATTEMPTS), (delete, 1)],
    ids=["reads", "keyed writes", "uploads", "deletions"],
)  # fmt: skip
@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        problem(503, "service_unavailable", retryable=True),
        problem(409, "idempotency_in_progress", retryable=True),
        httpx.Response(502, text="<html>bad gateway</html>"),
    ],
    ids=["no connection", "no answer", "unavailable", "in progress", "a proxy's page"],
)
def test_only_what_is_harmless_to_repeat_is_repeated(
    call: Callable[[Transport], object], attempts: int, answer: httpx.Response | Exception
) -> None:
    network = Network(answer)
    with pytest.raises(UnreachableError) as caught:
        call(network.transport)
    assert len(network.requests) == attempts
    assert len(network.waits) == attempts - 1
    assert "<html>" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [problem(403, "forbidden"), problem(404, "not_found"), problem(422, "idempotency_conflict"),
     problem(409, "run_terminal"), httpx.Response(401, text="who?"), httpx.Response(302, text="elsewhere")],
)  # fmt: skip
def test_a_refusal_is_final(answer: httpx.Response) -> None:
    network = Network(answer)
    with pytest.raises(RefusedError):
        create(network.transport)
    assert len(network.requests) == 1


def test_repetitions_carry_the_same_key_and_the_same_bytes() -> None:
    network = Network(httpx.ConnectError("x"), httpx.ConnectError("x"), problem(403, "forbidden"))
    with pytest.raises(RefusedError):
        create(network.transport)
    assert len({request.headers["Idempotency-Key"] for request in network.requests}) == 1
    assert {request.content for request in network.requests} == {b'{"name":"p","description":"","labels":{}}'}


def test_the_server_may_ask_for_a_longer_pause_but_keeps_nobody_waiting_in_silence() -> None:
    busy, full = problem(503, "service_unavailable", retryable=True), problem(507, "storage_full", retryable=True)
    busy.headers["Retry-After"], full.headers["Retry-After"] = "7", "30"
    patient = Network(busy, httpx.Response(200, json=IDENTITY))
    read(patient.transport)
    assert patient.waits == [7.0]
    told = Network(full)
    with pytest.raises(UnreachableError, match=r"storage_full: .* tell the administrator"):
        read(told.transport)
    assert told.waits == []
    twice = Network(busy, busy)
    with pytest.raises(UnreachableError):
        read(twice.transport)
    assert twice.waits == [7.0]


def test_pauses_grow_and_are_bounded() -> None:
    assert all(0 <= pause(attempt) <= min(LONGEST_WAIT, 0.25 * 2**attempt) for attempt in range(40) for _ in range(20))


def test_an_error_is_one_line_with_code_faults_and_remedy() -> None:
    faults = [{"path": "$.a", "code": "c", "message": "a must be\nsmaller"}]
    network = Network(problem(400, "parameter_invalid", detail="two faults", errors=faults, remedy="shrink it"))
    with pytest.raises(AnimusError) as caught:
        read(network.transport)
    assert str(caught.value) == "parameter_invalid: two faults; a must be smaller — shrink it"


def test_a_code_without_remedy_gets_ours() -> None:
    with pytest.raises(RefusedError, match="animus login URL"):
        read(Network(problem(401, "unauthenticated")).transport)


def test_the_token_is_in_the_header_and_in_no_words() -> None:
    network = Network(problem(401, "unauthenticated", detail="no"))
    with pytest.raises(RefusedError) as caught:
        read(network.transport)
    assert network.requests[0].headers["Authorization"] == "Bearer canary-token"
    for words in (repr(SESSION), repr(network.transport), repr(Client(SESSION, transport=network.transport)),
                  str(caught.value), repr(caught.value), repr(sessions.Saved(token="canary-token"))):  # fmt: skip
        assert "canary-token" not in words


def test_hostile_ids_stay_one_segment_of_the_path() -> None:
    network = Network(problem(404, "not_found"))
    for name in ("../../hub", "a/b?x=1#y", "%2e%2e/"):
        with pytest.raises(RefusedError):
            network.transport.call("runs.read", {"project": "p", "run": name})
    assert all(request.url.raw_path.count(b"/") == 6 for request in network.requests)


@pytest.fixture
def pending(tmp_path: Path) -> Callable[..., str]:
    def once(error: BaseException | None = None, submission: SubmitRun = SUBMISSION) -> str:
        expected = suppress(UnreachableError, RefusedError, KeyboardInterrupt)
        with expected, key_for(tmp_path, "http://x", "p", submission) as used:
            if error:
                raise error
        return used

    return once


def test_after_a_lost_answer_the_same_submission_has_the_same_key(pending: Callable[..., str]) -> None:
    lost = pending(UnreachableError("unreachable", "x"))
    interrupted = pending(KeyboardInterrupt())
    answered = pending()
    assert lost == interrupted == answered
    assert pending() != answered


def test_after_a_refusal_or_for_other_content_the_key_is_a_new_one(pending: Callable[..., str]) -> None:
    refused = pending(RefusedError("policy_denied", "x"))
    assert pending() != refused
    lost = pending(UnreachableError("unreachable", "x"))
    assert pending(submission=msgspec.structs.replace(SUBMISSION, seed=1)) != lost


def test_a_key_older_than_the_servers_memory_is_not_used_again(pending: Callable[..., str], tmp_path: Path) -> None:
    lost = pending(UnreachableError("unreachable", "x"))
    (note,) = (tmp_path / "pending").iterdir()
    os.utime(note, (0, 0))
    assert pending() != lost


def test_a_read_only_home_does_not_keep_anybody_from_submitting(tmp_path: Path) -> None:
    (tmp_path / "pending").write_text("in the way")
    with key_for(tmp_path, "http://x", "p", SUBMISSION) as used:
        assert used


def test_a_submission_that_was_accepted_but_not_answered_becomes_one_run(client: Client) -> None:
    lock = next(client.environments.locks())
    submission = msgspec.structs.replace(SUBMISSION, environment_lock_id=lock.lock_id)
    home = Path(os.environ["HOME"])
    runs = []
    for lose_answer in (True, True, False):
        with suppress(UnreachableError), key_for(home, client.session.url, client.project, submission) as used:
            runs.append(client.runs.submit(submission, key=used))
            if lose_answer:
                raise UnreachableError("unreachable", "the answer was lost")
    assert len({run.run_id for run in runs}) == 1
    assert len(list(client.runs.list())) == 1
    client.runs.cancel(runs[0].run_id)


def test_server_sent_events_are_read_whatever_stands_between_them() -> None:
    lines = [": ping", "", "id: 1", "event: x", "data: {a", "data:b}", "", "data", "", "", "data: last", ""]
    assert list(messages(lines)) == ["{a\nb}", "", "last"]
