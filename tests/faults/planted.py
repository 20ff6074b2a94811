# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tests are tested: each of these bugs takes one safeguard away, and a named test must notice it.

They are planted one after the other in a copy of the sources, see :mod:`tests.faults.planting`. A place that is not as
it was any more is a question: is the safeguard gone, or has it moved?
"""

from __future__ import annotations

from pathlib import Path

from tests.faults.bug import Bug, Edit
from tests.faults.planted_outages import OUTAGES

CONTROL = "hub_extension/animus_control"
ROOT = Path(__file__).parents[2]


MACHINE = "tests/faults/test_run_machine.py"
CALLBACKS = "tests/faults/test_callbacks.py"
WRITER_KILLED = "tests/faults/test_writer_killed.py"
STORED_RUNS = f"{CONTROL}/storage/repositories/runs.py"
STORED_EXECUTIONS = f"{CONTROL}/storage/repositories/executions.py"
WRITER = f"{CONTROL}/storage/writer.py"

BUGS = (
    Bug(
        "two writers move one run",
        "the expected version in the compare-and-set of a run",
        (Edit(STORED_RUNS, ' runs.c.version == bindparam("expected_version"),', ""),),
        ("tests/ports/test_concurrency.py::test_of_eight_threads_exactly_one_moves_the_run",),
    ),
    Bug(
        "a stale attempt is saved",
        "the expected epoch in the compare-and-set of an attempt",
        (Edit(STORED_EXECUTIONS, '        executions.c.epoch == bindparam("expected_epoch"),\n', ""),),
        ("tests/ports/test_runs_and_attempts.py::test_attempt_is_saved_by_its_epoch_until_it_ends",),
    ),
    Bug(
        "an older epoch is heard",
        "the check of the epoch that a callback names",
        (Edit(f"{CONTROL}/services/executions.py", "if epoch != execution.epoch:", "if epoch > execution.epoch:"),),
        ("tests/unit/control/services/test_attempts.py::test_older_epoch_is_heard_no_more",),
    ),
    Bug(
        "a lost attempt goes on",
        "the check that an attempt is live before it is heard",
        (
            Edit(f"{CONTROL}/services/executions.py", "if execution.state not in LIVE:", "if False:"),
            Edit(STORED_EXECUTIONS, "        LIVE,\n    )\n    .values({name", "    )\n    .values({name"),
        ),
        (MACHINE, CALLBACKS),
    ),
    Bug(
        "an ended run is written again",
        "the condition that a stored run has not ended",
        (Edit(STORED_RUNS, ", NOT_ENDED)\n    .values({name", ")\n    .values({name"),),
        ("tests/ports/test_runs_and_attempts.py::test_ended_run_refuses_every_change",),
    ),
    Bug(
        "a failed run succeeds later",
        "the end of the table of moves",
        (Edit(f"{CONTROL}/domain/runs.py", "    S.FAILED: {},\n", "    S.FAILED: {M.SUCCEED: S.SUCCEEDED},\n"),),
        ("tests/unit/control/domain/test_run_moves.py",),
    ),
    Bug(
        "a change without an audit event is committed",
        "the refusal of unaudited changes",
        (Edit(f"{CONTROL}/storage/session.py", "if unaudited and not self.audited:", "if False:"),),
        ("tests/ports/test_units_of_work.py::test_change_without_audit_record_is_refused_and_rolled_back",),
    ),
    Bug(
        "a move of a run is not audited",
        "the event of a move, and the refusal of unaudited changes",
        (
            Edit(f"{CONTROL}/storage/session.py", "if unaudited and not self.audited:", "if False:"),
            Edit(
                f"{CONTROL}/services/moves.py",
                "    uow.audit.append(audited(call, action, resource,",
                "    (audited(call, action, resource,",
            ),
        ),
        (MACHINE,),
    ),
    Bug(
        "the audit event is committed after its change",
        "one transaction for both",
        (
            Edit(WRITER, "        uow.finish(chain)\n", "        LATER.append(uow._audit.records)\n"),
            Edit(
                WRITER,
                '        failpoint("after_commit_before_reply")\n',
                '        failpoint("after_commit_before_reply")\n'
                "        self._let_go()\n"
                "        with self._engine.begin() as connection:\n"
                "            transaction = Transaction(connection, Known())\n"
                "            chain, session = Chain(transaction), Session(transaction, writable=True, exact=True)\n"
                "            while LATER:\n"
                "                chain.extend(session, LATER.pop(0))\n"
                "            session.keep()\n"
                "            transaction.write_out()\n"
                "            chain.close()\n",
            ),
            Edit(WRITER, "MOST_AT_ONCE = 256\n", "MOST_AT_ONCE = 256\nLATER: list[Any] = []\n"),
        ),
        (WRITER_KILLED,),
    ),
    Bug(
        "success is told before it is durable",
        "the commit before the answer",
        (
            Edit(
                WRITER,
                "                chain.close()\n",
                "                chain.close()\n"
                "                for piece in pieces:\n"
                "                    if piece.error is None:\n"
                "                        piece.tell(piece.result, None)\n",
            ),
            Edit(
                WRITER,
                "                piece.tell(piece.result if piece.error is None else None, piece.error)\n",
                "                if piece.error is not None:\n                    piece.tell(None, piece.error)\n",
            ),
        ),
        (WRITER_KILLED,),
    ),
    Bug(
        "commits are not synced to the disk",
        "`synchronous=FULL`",
        (Edit(f"{CONTROL}/storage/engine.py", '"synchronous=FULL"', '"synchronous=OFF"'),),
        ("tests/ports/test_storage_failures.py::test_sqlite_is_durable_by_its_settings",),
    ),
    Bug(
        "a refused piece of work leaves its changes",
        "the savepoint's rollback",
        (Edit(WRITER, "        session.undo()\n", "        session.keep()\n"),),
        ("tests/ports/test_units_of_work.py::test_piece_that_raises_takes_back_its_own_changes_and_no_others",),
    ),
    Bug(
        "two writers fork the audit log",
        "the compare-and-set of the audit log's head",
        (
            Edit(
                f"{CONTROL}/storage/audit_log.py",
                '    .where(audit_head.c.sequence == bindparam("old_sequence"),'
                ' audit_head.c.hash == bindparam("old_hash"))\n',
                "",
            ),
        ),
        ("tests/ports/test_audit_tampering.py::test_head_that_was_moved_under_a_writer_makes_the_commit_fail",),
    ),
    Bug(
        "an event follows any predecessor",
        "the comparison with the hash before",
        (Edit("hub_extension/animus_contracts/audit.py", "if event.previous_hash != head:", "if False:"),),
        ("tests/unit/contracts/test_audit_chain.py",),
    ),
    Bug(
        "nobody who waits is woken",
        "the wake-up after a commit",
        (Edit(WRITER, "        self._notify(channels)\n", ""),),
        (
            "tests/ports/test_units_of_work.py::test_listener_is_woken_after_the_commit_until_it_stops",
            "tests/api/test_leases.py::test_a_submission_wakes_the_waiting_executor",
        ),
    ),
    Bug(
        "another process is not woken",
        "the announcement inside the transaction",
        (Edit(WRITER, "                self._announce(connection, channels)\n", ""),),
        ("tests/ports/test_concurrency.py::test_notification_reaches_another_process_of_the_same_postgresql",),
    ),
    Bug(
        "what another process wrote is not seen",
        "the look at what others may have changed before a transaction",
        (
            Edit(
                f"{CONTROL}/storage/known.py", "        if place != self._place:\n", "        if self._place is None:\n"
            ),
        ),
        ("tests/ports/test_concurrency.py::test_what_another_process_wrote_is_seen_by_the_next_piece_of_work",),
    ),
    Bug(
        "one key has two effects",
        "the lookup of the stored answer",
        (Edit(f"{CONTROL}/api/idempotency.py", "    if key is None:\n", "    if True:\n"),),
        (MACHINE, "tests/api/test_idempotency.py::test_a_key_with_another_body_is_a_conflict"),
    ),
    Bug(
        "a dispatch token starts again and again",
        "its end at the first report, and the refusal of a second start",
        (
            Edit(
                f"{CONTROL}/services/reports.py",
                "        uow.tokens.revoke(execution.execution_id, kind=DISPATCH)\n",
                "        pass\n",
            ),
            Edit(f"{CONTROL}/services/executions.py", "    if execution.last_sequence > 0:\n", "    if False:\n"),
        ),
        (
            CALLBACKS,
            "tests/unit/control/services/test_attempts.py::test_start_cannot_be_repeated_after_the_first_report",
        ),
    ),
    Bug(
        "a run token outlives its attempt",
        "the revocation in the end's own transaction",
        (Edit(f"{CONTROL}/services/endings.py", "    uow.tokens.revoke(execution.execution_id)\n", ""),),
        (MACHINE, "tests/api/test_credentials.py::test_a_run_token_is_dead_once_the_run_has_ended"),
    ),
    Bug(
        "an expired token opens the door",
        "the comparison of a run token's time",
        (Edit(f"{CONTROL}/api/authentication.py", '"expired" if known.expires_at <= self._clock() else ""', '""'),),
        ("tests/api/test_credentials.py::test_a_run_token_is_dead_once_its_time_is_over",),
    ),
    Bug(
        "an expired lease is never noticed",
        "the search for overdue leases",
        (
            Edit(
                STORED_EXECUTIONS,
                'executions.c.lease_expires_at < bindparam("now")',
                'executions.c.lease_expires_at > bindparam("now")',
            ),
        ),
        (
            CALLBACKS,
            "tests/unit/control/services/test_lost_runs.py::test_run_not_found_again_fails_and_its_executor_is_refused",
        ),
    ),
    Bug(
        "a clock that is set is believed at once",
        "the bound on how fast time may be mended",
        (Edit(f"{CONTROL}/storage/clock.py", "RATE = 0.1\n", "RATE = 1e9\n"),),
        ("tests/faults/test_clocks.py", "tests/unit/control/storage/test_clock.py"),
    ),
    Bug(
        "a repeated report is stored twice",
        "the comparison with the last event's number",
        (Edit(f"{CONTROL}/services/reports.py", "if event.sequence > execution.last_sequence]", "]"),),
        (CALLBACKS,),
    ),
    Bug(
        "a gap in the reports is accepted",
        "the refusal of a missing event",
        (
            Edit(
                f"{CONTROL}/services/reports.py",
                "        if event.sequence != expected:\n",
                "        if event.sequence < expected:\n",
            ),
        ),
        (CALLBACKS,),
    ),
    Bug(
        "an end that is repeated is refused",
        "the recognition of an end by its event",
        (Edit(f"{CONTROL}/services/endings.py", "    if repeated is not None:\n", "    if False:\n"),),
        (CALLBACKS, "tests/unit/control/services/test_endings.py::test_same_end_again_changes_nothing"),
    ),
    Bug(
        "a record is found from another project",
        "the project in every query of a record",
        (
            Edit(
                f"{CONTROL}/storage/repositories/records.py",
                'for name in ("project_id", *fields)]',
                "for name in fields]",
            ),
        ),
        ("tests/ports/test_records.py::test_record_is_found_as_stored_and_in_its_project_alone",),
    ),
    Bug(
        "two threads work one type out",
        "the lock around what msgspec remembers of types",
        (
            Edit(
                "hub_extension/animus_contracts/decoding.py",
                "    with _working_out:\n        return decoder(kind)\n",
                "    return decoder(kind)\n",
            ),
        ),
        ("tests/unit/contracts/test_decoding.py",),
    ),
    *OUTAGES,
)
