# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What keeps the control plane from starting."""

from __future__ import annotations


class StartError(RuntimeError):
    """It cannot start with what it was given; the message says why, in one line for the operator's log."""
