# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Each message reads what it once wrote, writes it back unchanged, and refuses what it does not know."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.contracts.messages import messages, vocabularies
from tests.contracts.samples import GOLDEN, encoded

MESSAGES = messages()
TOLERANT = {"Problem"}  # RFC 9457, section 3.2: a reader ignores members it does not know
OPEN = [name for name in MESSAGES if name in TOLERANT]
STRICT = [name for name in MESSAGES if name not in TOLERANT]


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def fields_of(value: Any) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def test_every_message_has_a_golden_file_and_every_file_a_message() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*MESSAGES, "vocabularies"}


@pytest.mark.parametrize("name", MESSAGES)
def test_golden_message_is_read_and_written_back_unchanged(name: str) -> None:
    message = msgspec.json.decode(golden(name), type=MESSAGES[name])

    assert encoded(message) == golden(name)


@pytest.mark.parametrize("name", MESSAGES)
def test_golden_message_shows_every_field(name: str) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(MESSAGES[name])}

    assert fields <= fields_of(msgspec.json.decode(golden(name)))


@pytest.mark.parametrize("name", STRICT)
def test_unknown_member_is_refused(name: str) -> None:
    with_more = msgspec.json.encode(msgspec.json.decode(golden(name)) | {"planted": 1})

    with pytest.raises(msgspec.ValidationError, match="planted"):
        msgspec.json.decode(with_more, type=MESSAGES[name])


@pytest.mark.parametrize("name", OPEN)
def test_problem_of_a_newer_server_is_still_read(name: str) -> None:
    with_more = msgspec.json.encode(msgspec.json.decode(golden(name)) | {"planted": 1})

    assert msgspec.json.decode(with_more, type=MESSAGES[name])


@pytest.mark.parametrize("name", MESSAGES)
def test_message_cannot_be_changed(name: str) -> None:
    message = msgspec.json.decode(golden(name), type=MESSAGES[name])
    fields = msgspec.structs.fields(MESSAGES[name])

    for field in fields[:1]:
        with pytest.raises(AttributeError):
            setattr(message, field.name, None)


def test_no_value_that_left_the_process_was_ever_renamed_or_removed() -> None:
    assert vocabularies() == msgspec.json.decode(golden("vocabularies"))
