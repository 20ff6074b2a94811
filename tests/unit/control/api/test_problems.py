# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every code has its problem, and what nobody foresaw says nothing outside."""

from __future__ import annotations

import json
import logging

import pytest
from tornado.web import HTTPError

from animus_contracts.problems import CODES, PROBLEM_TYPE_BASE, Fault, Problem
from animus_control.api.problems import build_problem, log_unexpected, problem_headers
from animus_control.domain.errors import AnimusError, InvalidError


@pytest.mark.parametrize("code", CODES)
def test_every_code_becomes_a_problem_with_its_own_status(code: str) -> None:
    problem = build_problem(AnimusError(code, "what was wrong"), request_id="r")
    known = CODES[code]
    assert (problem.status, problem.title, problem.retryable) == (known.status, known.title, known.retryable)
    assert (problem.type, problem.code, problem.detail) == (PROBLEM_TYPE_BASE + code, code, "what was wrong")
    assert ("Retry-After" in problem_headers(problem)) is (known.status in {503, 507})


def test_a_problem_carries_everything_an_error_tells() -> None:
    fault = Fault(path="$.a", code="invalid", message="m")
    error = InvalidError("invalid_request", "detail", remedy="remedy", faults=[fault], extra={"k": 1})
    assert build_problem(error, request_id="r") == Problem(
        type=PROBLEM_TYPE_BASE + "invalid_request",
        title=CODES["invalid_request"].title,
        status=400,
        code="invalid_request",
        detail="detail",
        remedy="remedy",
        request_id="r",
        errors=[fault],
        extra={"k": 1},
    )


HTTP = {400: "invalid_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 418: "invalid_request",
        500: "service_unavailable", 502: "service_unavailable"}  # fmt: skip


@pytest.mark.parametrize(("status", "code"), HTTP.items())
def test_an_error_of_the_http_server_has_a_code_too(status: int, code: str) -> None:
    assert build_problem(HTTPError(status, "canary"), request_id="r").code == code


def test_an_unexpected_error_tells_the_log_and_not_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError) as raised:
        {}["missing"]
    problem = build_problem(raised.value, request_id="r")
    log_unexpected(raised.value, request_id="r", operation="runs.submit")
    assert (problem.status, problem.code, problem.detail) == (500, "internal_error", "")
    story = json.loads(caplog.messages[0])
    assert story["type"] == "KeyError"
    assert "test_problems.py" in story["frames"][0]


def test_values_below_the_first_line_of_a_message_never_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log_unexpected(RuntimeError("statement failed\n[parameters: canary]"), request_id="r", operation="o")
    assert "canary" not in caplog.text
    assert "statement failed" in caplog.text


def test_an_expected_error_is_no_story(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        log_unexpected(InvalidError("invalid_request"), request_id="r", operation="o")
    assert caplog.messages == []
