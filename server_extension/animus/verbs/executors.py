# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Executors, as they last asked for work."""

from __future__ import annotations

from argparse import Namespace

from animus.verbs import Desk
from animus_contracts.executors import Executor


def show_all(desk: Desk, _given: Namespace) -> list[Executor]:
    """List the executors and what they have free."""
    return list(desk.client().executors.list())
