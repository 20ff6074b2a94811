# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Only the control plane's own word ends an attempt; what a proxy says in its place is an outage."""

from __future__ import annotations

from contextlib import closing

import pytest

from animus_contracts.executions import Heartbeat
from animus_executor.control_plane import ControlPlane, ProtocolError, RefusedError, StaleError, UnreachableError
from tests.fakes.answering import PAGE, a_problem, answering


@pytest.mark.parametrize(
    ("status", "is_ours", "error"),
    [
        (404, True, StaleError),
        (409, True, StaleError),
        (410, True, StaleError),
        (401, True, RefusedError),
        (403, True, RefusedError),
        (429, True, UnreachableError),
        (500, True, UnreachableError),
        (503, True, UnreachableError),
        *[(status, False, UnreachableError) for status in (401, 403, 404, 409, 410, 429, 500, 502, 503, 504)],
    ],
)
def test_an_answer_is_taken_for_the_control_planes_only_if_it_is_a_problem(
    status: int, error: type[ProtocolError], *, is_ours: bool
) -> None:
    with (
        answering(status, a_problem(status) if is_ours else PAGE) as url,
        closing(ControlPlane(url, "ax_token")) as control_plane,
        pytest.raises(error) as caught,
    ):
        control_plane.heartbeat("x", Heartbeat(epoch=1), patience=5.0)
    assert type(caught.value) is error


def test_a_page_in_place_of_an_answer_is_an_outage() -> None:
    with (
        answering(200, PAGE) as url,
        closing(ControlPlane(url, "ax_token")) as control_plane,
        pytest.raises(UnreachableError),
    ):
        control_plane.heartbeat("x", Heartbeat(epoch=1), patience=5.0)
