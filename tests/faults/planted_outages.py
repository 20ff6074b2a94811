# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Bugs that would let an outage, or the death of a supervisor, cost a run or something that it told."""

from __future__ import annotations

from tests.faults.bug import Bug, Edit

CONTROL, RUNNER, EXECUTOR = "hub_extension/animus_control", "kernels/animus_runner", "kernels/animus_executor"
SILENCE = "tests/unit/control/domain/test_silence.py"
LOST = "tests/unit/control/services/test_lost_runs.py"
ANSWERS = "tests/unit/executor/test_answers.py"

OUTAGES: tuple[Bug, ...] = (
    Bug(
        "silence counts although nobody listened",
        "the wait until a control plane has listened for a whole grace",
        (
            Edit(
                f"{CONTROL}/domain/silence.py",
                "Handling.GIVE_UP if listened >= grace else Handling.LISTEN",
                "Handling.GIVE_UP",
            ),
        ),
        (
            f"{SILENCE}::test_a_run_that_may_live_is_given_up_only_after_somebody_listened",
            f"{LOST}::test_an_outage_that_begins_during_the_grace_ends_no_run_whose_executor_lives",
        ),
    ),
    Bug(
        "an outage is no break in listening",
        "the longest break between two successes of the reconciler",
        (Edit(f"{CONTROL}/worker.py", "return now - self._last <= self._longest_break", "return True"),),
        ("tests/unit/control/test_worker.py::test_listening_lasts_from_success_to_success_without_a_break",),
    ),
    Bug(
        "half an event counts",
        "the check of the spool's last lines",
        (
            Edit(
                f"{RUNNER}/spool.py",
                'if not line.endswith(b"\\n") or _sequence(line) != number:',
                "if False:",
            ),
        ),
        ("tests/unit/runner/test_spool.py::test_what_a_crash_left_at_the_end_is_no_event_and_goes",),
    ),
    Bug(
        "what a killed supervisor left is executed again",
        "the difference between a run and what is left of one",
        (Edit(f"{RUNNER}/supervisor.py", "if assignment.is_remainder:", "if False:"),),
        ("tests/unit/runner/test_salvage.py::test_what_was_settled_is_delivered_as_it_was_by_another_supervisor",),
    ),
    Bug(
        "a token that has run out is presented",
        "the supervisor's own idea of how long its token lasts",
        (Edit(f"{RUNNER}/token_life.py", "return self._clock() >= self._until", "return False"),),
        ("tests/unit/runner/test_token_life.py::test_a_token_that_has_run_out_is_presented_to_nobody",),
    ),
    Bug(
        "a proxy ends a run",
        "the question whether an error is the control plane's own",
        (
            Edit(
                f"{EXECUTOR}/control_plane.py",
                'return UnreachableError(f"{response.status_code} {response.text[:200]}")',
                'return StaleError(f"{response.status_code} {response.text[:200]}")',
            ),
        ),
        (f"{ANSWERS}::test_an_answer_is_taken_for_the_control_planes_only_if_it_is_a_problem",),
    ),
)
