# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Only the control plane's own word ends a run; what a proxy says in its place is an outage."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from animus_contracts.digests import digest_bytes
from animus_contracts.run_events import ReportEvents
from animus_runner.control_plane import ControlPlane
from animus_runner.exits import AttemptError, FailedError, LostError, UnreachableError
from animus_runner.objects import WrongBytesError
from tests.fakes.answering import PAGE, a_problem, answering

DIGEST = digest_bytes(b"x")


@pytest.mark.parametrize(
    ("status", "is_ours", "error"),
    [
        (403, True, LostError),
        (409, True, LostError),
        (410, True, LostError),
        (404, True, FailedError),
        (422, True, FailedError),
        (401, True, UnreachableError),
        (429, True, UnreachableError),
        (503, True, UnreachableError),
        *[(status, False, UnreachableError) for status in (200, 401, 403, 404, 409, 410, 422, 500, 502, 503, 504)],
    ],
)
def test_an_answer_to_a_report_is_the_control_planes_only_if_it_says_so(
    status: int, error: type[AttemptError], *, is_ours: bool
) -> None:
    with (
        answering(status, a_problem(status) if is_ours else PAGE) as url,
        closing(ControlPlane(url, "x", "ar_token")) as control_plane,
        pytest.raises(error),
    ):
        control_plane.report(ReportEvents(epoch=1, events=[]))


@pytest.mark.parametrize(("is_ours", "error"), [(True, WrongBytesError), (False, UnreachableError)])
def test_bytes_are_gone_only_if_the_control_plane_says_so(error: type[Exception], *, is_ours: bool) -> None:
    with (
        answering(404, a_problem(404) if is_ours else PAGE) as url,
        closing(ControlPlane(url, "x", "ar_token")) as control_plane,
        pytest.raises(error),
        control_plane.fetch_input(DIGEST),
    ):
        pass


def test_a_page_is_no_upload(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with (
        answering(404, PAGE) as url,
        closing(ControlPlane(url, "x", "ar_token")) as control_plane,
        pytest.raises(UnreachableError),
    ):
        control_plane.put_object(DIGEST, tmp_path / "file")
