# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit chain: whatever is changed, swapped, taken out or put in is found, and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.audit import GENESIS, Action, AuditEvent, AuditRecord, Outcome, chain_hash, first_fault
from animus_contracts.digests import canonical
from animus_contracts.identifiers import ProjectId


def a_record(number: int) -> AuditRecord:
    return AuditRecord(
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        project_id=ProjectId("01980000-0000-7000-8000-00000000000a"),
        actor="user:ann",
        action=Action.RUN_CREATED,
        resource=f"run:{number}",
        outcome=Outcome.SUCCESS,
        request_id=f"request-{number}",
        details={"number": number},
    )


def a_chain(length: int) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    head = GENESIS
    for sequence in range(1, length + 1):
        record = canonical(a_record(sequence))
        previous, head = head, chain_hash(head, record)
        events.append(AuditEvent(sequence=sequence, record=msgspec.Raw(record), previous_hash=previous, hash=head))
    return events


LENGTH = 6
CHAIN = a_chain(LENGTH)
positions = st.integers(0, LENGTH - 1)


def fault_at(events: list[AuditEvent]) -> int | None:
    fault = first_fault(events)
    return fault.sequence if fault else None


@pytest.mark.parametrize("length", range(4))
def test_untouched_chain_has_no_fault(length: int) -> None:
    assert first_fault(a_chain(length)) is None


def test_stretch_of_a_chain_is_checked_from_the_head_before_it() -> None:
    assert first_fault(CHAIN[3:], sequence=3, head=CHAIN[2].hash) is None
    assert first_fault(CHAIN[3:], sequence=3, head=CHAIN[1].hash) is not None


@given(positions, st.data())
def test_one_flipped_bit_of_a_record_is_found_where_it_is(position: int, data: st.DataObject) -> None:
    record = bytearray(CHAIN[position].record)
    record[data.draw(st.integers(0, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    events = list(CHAIN)
    events[position] = msgspec.structs.replace(events[position], record=msgspec.Raw(bytes(record)))

    assert fault_at(events) == position + 1


@given(positions, st.sampled_from(["hash", "previous_hash"]), st.integers(0, 63))
def test_one_changed_digit_of_a_hash_is_found(position: int, field: str, digit: int) -> None:
    text = getattr(CHAIN[position], field)
    other = text[:digit] + ("0" if text[digit] != "0" else "1") + text[digit + 1 :]
    events = list(CHAIN)
    events[position] = msgspec.structs.replace(events[position], **{field: other})

    assert fault_at(events) == position + 1


@given(positions)
def test_deleted_event_is_found_unless_it_was_the_last(position: int) -> None:
    events = CHAIN[:position] + CHAIN[position + 1 :]

    assert fault_at(events) == (position + 1 if position < LENGTH - 1 else None)


def test_cut_tail_shows_against_the_head_that_is_kept_elsewhere() -> None:
    cut = CHAIN[:-1]

    assert first_fault(cut) is None
    assert (cut[-1].sequence, cut[-1].hash) != (CHAIN[-1].sequence, CHAIN[-1].hash)


@given(positions, positions)
def test_swapped_events_are_found(left: int, right: int) -> None:
    events = list(CHAIN)
    events[left], events[right] = events[right], events[left]

    assert fault_at(events) == (None if left == right else min(left, right) + 1)


@given(positions, positions)
def test_inserted_event_is_found(position: int, copied: int) -> None:
    events = [*CHAIN[:position], CHAIN[copied], *CHAIN[position:]]

    assert fault_at(events) is not None


@given(st.integers(0, LENGTH - 2))
def test_event_rewritten_with_a_matching_hash_is_found_at_the_next_one(position: int) -> None:
    record = canonical(msgspec.structs.replace(a_record(position + 1), actor="user:eve"))
    forged = msgspec.structs.replace(
        CHAIN[position], record=msgspec.Raw(record), hash=chain_hash(CHAIN[position].previous_hash, record)
    )

    assert fault_at([*CHAIN[:position], forged, *CHAIN[position + 1 :]]) == position + 2
