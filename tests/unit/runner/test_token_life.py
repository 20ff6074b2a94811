# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run token is presented as long as it lives, and not once more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from animus_contracts.digests import digest_bytes
from animus_contracts.run_events import ReportEvents
from animus_runner.control_plane import ControlPlane
from animus_runner.exits import UnreachableError
from animus_runner.token_life import TokenLife
from tests.fakes.answering import PAGE, a_problem, answering
from tests.fakes.control_plane import ControlPlaneSimulator
from tests.fakes.plans import a_plan

NOTHING = ReportEvents(epoch=1, events=[])


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_not_used_in_the_last_tenth_of_its_life_until_it_is_renewed() -> None:
    clock = Clock()
    life = TokenLife(60.0, clock=clock)
    assert not life.is_over
    clock.now += 53.9
    assert not life.is_over
    clock.now += 0.2
    assert life.is_over
    life.renewed(10.0)
    assert not life.is_over
    clock.now += 9.1
    assert life.is_over


def test_without_a_word_about_its_life_a_token_is_used() -> None:
    assert not TokenLife().is_over


def test_a_token_that_has_run_out_is_presented_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with ControlPlaneSimulator() as simulator:
        attempt = simulator.grant(a_plan())
        attempt.run_token = "ar_x"
        life = TokenLife(0.0)
        with closing(ControlPlane(simulator.url, attempt.lease.execution_id, attempt.run_token, life)) as plane:
            for step in (
                lambda: plane.report(NOTHING),
                lambda: plane.put_object(digest_bytes(b"x"), tmp_path / "file"),
                lambda: plane.fetch_input(digest_bytes(b"x")).__enter__(),
            ):
                with pytest.raises(UnreachableError, match="has run out"):
                    step()
            life.renewed(60.0)
            plane.report(NOTHING)


@pytest.mark.parametrize("is_ours", [True, False], ids=["control plane", "proxy"])
def test_a_token_that_was_refused_is_not_presented_again_until_it_is_renewed(*, is_ours: bool) -> None:
    life = TokenLife(60.0)
    with (
        answering(401, a_problem(401) if is_ours else PAGE) as url,
        closing(ControlPlane(url, "x", "ar_token", life)) as plane,
        pytest.raises(UnreachableError),
    ):
        plane.report(NOTHING)
    assert life.is_over is is_ours
