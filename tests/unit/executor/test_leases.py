# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lease lives as long as heartbeats are answered, and its loss is noticed before anybody else can have the run."""

from __future__ import annotations

import threading
import time

import pytest

from animus_contracts.executions import Heartbeat, HeartbeatReply
from animus_executor.control_plane import ProtocolError, RefusedError, StaleError, UnreachableError
from animus_executor.handles import Handle
from animus_executor.leases import Keeper
from tests.fakes.plans import a_lease
from tests.patience import until


class Heart:
    """Answers heartbeats as it is told."""

    def __init__(self) -> None:
        self.error: ProtocolError | None = None
        self.cancel = False
        self.beats: list[Heartbeat] = []

    def heartbeat(self, execution_id: str, message: Heartbeat, *, patience: float) -> HeartbeatReply:
        assert execution_id
        assert patience > 0
        self.beats.append(message)
        if self.error:
            raise self.error
        return HeartbeatReply(lease_seconds=0.4, token_expires_in_seconds=1.0, cancel=self.cancel)


class Watched:
    """A keeper and what it did."""

    def __init__(self, heart: Heart, lease_seconds: float = 0.4, *, is_adopted: bool = False) -> None:
        self.canceled, self.lost = threading.Event(), threading.Event()
        self.cancellations = 0
        self.renewals: list[float] = []
        self.keeper = Keeper(
            a_lease(heartbeat_seconds=0.05, lease_seconds=lease_seconds),
            asked_at=None if is_adopted else time.monotonic(),
            control_plane=heart,
            attempt=self,
            offline_seconds=1.2,
        )

    def renewed(self, until: float) -> None:
        self.renewals.append(until)

    def cancel(self) -> None:
        self.cancellations += 1
        self.canceled.set()

    def kill(self) -> None:
        self.lost.set()


@pytest.fixture
def heart() -> Heart:
    return Heart()


def test_answered_heartbeats_keep_a_lease_beyond_its_first_term(heart: Heart) -> None:
    watched = Watched(heart)
    with watched.keeper:
        assert not watched.lost.wait(0.8)
        assert not watched.keeper.is_lost
    assert len(heart.beats) > 8
    assert {beat.epoch for beat in heart.beats} == {1}


def test_an_attempt_hears_how_long_its_token_lasts_counted_from_before_the_question(heart: Heart) -> None:
    watched = Watched(heart, is_adopted=True)
    began = time.monotonic()
    with watched.keeper:
        until(lambda: len(watched.renewals) > 2)
    assert began + 1.0 <= watched.renewals[0] <= watched.renewals[1] <= time.monotonic() + 1.0


def test_what_has_not_started_has_no_token_to_be_told_of(heart: Heart) -> None:
    watched = Watched(heart)
    with watched.keeper:
        until(lambda: len(heart.beats) > 2)
        assert watched.renewals == []
        watched.keeper.attempt_started()
        until(lambda: watched.renewals)


def test_a_lease_without_answers_is_lost_when_its_term_ends_and_not_before(heart: Heart) -> None:
    heart.error = UnreachableError("away")
    watched = Watched(heart)
    started = time.monotonic()
    with watched.keeper:
        assert watched.lost.wait(2.0)
    assert 0.35 < time.monotonic() - started < 0.6
    assert watched.keeper.is_lost


def test_a_control_plane_that_comes_back_in_time_keeps_the_lease(heart: Heart) -> None:
    heart.error = UnreachableError("away")
    watched = Watched(heart)
    with watched.keeper:
        assert not watched.lost.wait(0.2)
        heart.error = None
        assert not watched.lost.wait(0.6)


@pytest.mark.parametrize("error", [StaleError("stale_epoch"), RefusedError("unauthenticated")])
def test_a_refused_heartbeat_loses_the_lease_at_once_and_for_good(heart: Heart, error: ProtocolError) -> None:
    heart.error = error
    watched = Watched(heart, lease_seconds=60.0)
    with watched.keeper:
        assert watched.lost.wait(1.0)
        heart.error = None
        assert watched.keeper.is_lost
    assert len(heart.beats) == 1


def test_a_wish_to_cancel_is_passed_on_once(heart: Heart) -> None:
    heart.cancel = True
    watched = Watched(heart)
    with watched.keeper:
        assert watched.canceled.wait(1.0)
        time.sleep(0.2)
    assert watched.cancellations == 1


def waited_for(heart: Heart, seconds: float) -> tuple[Keeper, threading.Event]:
    """A lease of five seconds that came after a wait."""
    handle = Handle()
    asked_at = time.monotonic() - seconds
    lease = a_lease(lease_seconds=5.0, heartbeat_seconds=1.0)
    keeper = Keeper(lease, asked_at=asked_at, control_plane=heart, attempt=handle, offline_seconds=60.0)
    return keeper, handle.stopping


def test_a_lease_counts_from_before_it_was_asked_for(heart: Heart) -> None:
    keeper, _ = waited_for(heart, 6.0)
    assert keeper.is_lost


def test_a_lease_that_was_waited_for_too_long_is_renewed_before_anything_else(heart: Heart) -> None:
    keeper, lost = waited_for(heart, 6.0)
    with keeper:
        assert not keeper.is_lost
        assert len(heart.beats) == 1
    assert not lost.is_set()


@pytest.mark.parametrize("error", [StaleError("stale_epoch"), UnreachableError("away")])
def test_a_lease_that_cannot_be_renewed_after_a_long_wait_is_lost(heart: Heart, error: ProtocolError) -> None:
    heart.error = error
    keeper, lost = waited_for(heart, 6.0)
    with keeper:
        assert keeper.is_lost
        assert lost.wait(1.0)


def test_a_lease_that_came_quickly_is_not_renewed_at_once(heart: Heart) -> None:
    keeper, _ = waited_for(heart, 0.1)
    with keeper:
        assert not keeper.is_lost
    assert heart.beats == []


def test_a_started_attempt_outlives_its_lease_through_an_outage_but_not_its_patience(heart: Heart) -> None:
    heart.error = UnreachableError("away")
    watched = Watched(heart)
    started = time.monotonic()
    with watched.keeper:
        watched.keeper.attempt_started()
        assert not watched.lost.wait(0.8)
        assert watched.lost.wait(2.0)
    assert 1.1 < time.monotonic() - started < 1.6


def test_a_started_attempt_is_lost_at_once_when_the_control_plane_says_so(heart: Heart) -> None:
    watched = Watched(heart)
    with watched.keeper:
        watched.keeper.attempt_started()
        heart.error = StaleError("stale_epoch")
        assert watched.lost.wait(0.5)


def test_an_adopted_attempt_is_asked_about_at_once(heart: Heart) -> None:
    heart.error = StaleError("stale_epoch")
    watched = Watched(heart, lease_seconds=60.0, is_adopted=True)
    with watched.keeper:
        assert watched.lost.wait(0.04)


def test_in_an_outage_heartbeats_come_soon_at_first_and_then_as_often_as_any_other(
    heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animus_executor.leases.FIRST_PAUSE", 0.005)
    heart.error = UnreachableError("away")
    keeper = Keeper(
        a_lease(heartbeat_seconds=0.1, lease_seconds=0.1),
        asked_at=None,
        control_plane=heart,
        attempt=Handle(),
        offline_seconds=60.0,
    )
    with keeper:
        time.sleep(0.9)
    assert 6 <= len(heart.beats) <= 14


def test_an_outage_is_told_once_in_the_log_and_so_is_its_end(heart: Heart, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="animus_executor.leases")
    heart.error = UnreachableError("away")
    with Watched(heart, is_adopted=True).keeper:
        time.sleep(0.4)
        heart.error = None
        time.sleep(0.3)
    assert [("not answered" in line, "answered again" in line) for line in caplog.messages] == [
        (True, False),
        (False, True),
    ]
