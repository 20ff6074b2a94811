# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A message that carries a credential does not show it when it is printed or logged."""

from __future__ import annotations

import msgspec
import pytest

from tests.contracts.messages import messages
from tests.contracts.samples import GOLDEN

CREDENTIALS = {"dispatch_token", "password", "run_token", "secret", "token"}
CARRIERS = [
    (name, field.name)
    for name, kind in messages().items()
    for field in msgspec.structs.fields(kind)
    if field.name in CREDENTIALS
]


def test_there_are_messages_with_credentials() -> None:
    assert {name for name, _ in CARRIERS} == {"Assignment", "Lease", "RunCredentials", "StartExecution"}


@pytest.mark.parametrize(("name", "field"), CARRIERS)
def test_credential_is_not_in_the_representation(name: str, field: str) -> None:
    members = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes()) | {field: "canary"}
    message = msgspec.convert(members, messages()[name])

    assert "canary" not in f"{message!r} {message!s} {[message]}"
