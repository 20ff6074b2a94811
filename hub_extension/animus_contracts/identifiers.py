# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Identifiers are made once, at the edge, and are typed from there on.

Ids are UUIDv7 text (RFC 9562, section 5.7): they sort by creation time, which keeps indexes dense and lists
stable. The generator is pure: time and randomness come in as arguments.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NewType

ApprovalId = NewType("ApprovalId", str)
ArtifactId = NewType("ArtifactId", str)
BindingId = NewType("BindingId", str)
ComparisonId = NewType("ComparisonId", str)
DatasetId = NewType("DatasetId", str)
DatasetVersionId = NewType("DatasetVersionId", str)
DecisionId = NewType("DecisionId", str)
EnvironmentId = NewType("EnvironmentId", str)
ExecutionId = NewType("ExecutionId", str)
FiringId = NewType("FiringId", str)
InspectionId = NewType("InspectionId", str)
LockId = NewType("LockId", str)
PipelineRunId = NewType("PipelineRunId", str)
PolicyId = NewType("PolicyId", str)
PreflightId = NewType("PreflightId", str)
ProjectId = NewType("ProjectId", str)
QuotaId = NewType("QuotaId", str)
RunId = NewType("RunId", str)
ScheduleId = NewType("ScheduleId", str)
SnapshotId = NewType("SnapshotId", str)
TaskId = NewType("TaskId", str)

RANDOM_BYTES = 10
"""How many random bytes :func:`uuid7` consumes."""

# A project's name is also the name of a Hub server and part of a Hub group, so it obeys the stricter
# JupyterHub rule for named servers (letters, digits, single hyphens, at most 30 characters).
PROJECT_NAME = re.compile(r"(?=.{3,30}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
RESOURCE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
BINDING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def uuid7(now: datetime, randomness: bytes) -> str:
    """Build a UUIDv7 (RFC 9562, section 5.7).

    Args:
        now: The instant to encode, timezone-aware; milliseconds are kept.
        randomness: Exactly :data:`RANDOM_BYTES` random bytes.

    Returns:
        The identifier in its canonical 36-character lower-case form.

    Raises:
        ValueError: If ``randomness`` has another length.
    """
    if len(randomness) != RANDOM_BYTES:
        message = f"uuid7 needs {RANDOM_BYTES} random bytes, got {len(randomness)}"
        raise ValueError(message)
    milliseconds = int(now.timestamp() * 1000)
    number = int.from_bytes(milliseconds.to_bytes(6, "big") + randomness, "big")
    number = number & ~(0xF << 76) | 0x7 << 76  # version 7
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant 10
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
