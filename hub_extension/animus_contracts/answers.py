# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the control plane asks for now and learns later, because it must look at bytes to know."""

from __future__ import annotations

from enum import StrEnum


class AnswerState(StrEnum):
    """Whether the data plane has answered. Values leave the process and never change.

    ``failed`` says that nobody could find out, not that what was found is bad.
    """

    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"
