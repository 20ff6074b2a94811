# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys: what makes a repeated request the same request."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from animus_contracts.identifiers import RANDOM_BYTES, uuid7


def new_key() -> str:
    """Return a key for a new request.

    It begins with the time, so that the control plane's index of keys grows at its end: keys in no order would make
    every commit touch one more page for each of its requests.
    """
    return uuid7(datetime.now(UTC), os.urandom(RANDOM_BYTES))
