# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels of executors are short and plain, because every run's demand repeats them in the queue's index."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from animus_contracts.executions import LeaseRequest
from animus_contracts.problems import Fault
from animus_control.domain.environments import PLATFORM
from animus_control.domain.limits import Limits

KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
MOST_AMOUNT = 2**53


def executor_label_faults(labels: Mapping[str, str], limits: Limits, *, path: str) -> list[Fault]:
    """Check labels that an executor has or a run asks for."""
    if len(labels) > limits.executor_labels:
        words = f"must be at most {limits.executor_labels} labels, not {len(labels)}"
        return [Fault(path=path, code="too_many", message=words)]
    words = "must be key=value, each of 1 to 63 letters, digits, dots, underscores and hyphens"
    return [
        Fault(path=path, code="invalid_label", message=f"{words}, not {key[:40]!r}={value[:40]!r}")
        for key, value in labels.items()
        if not KEY.fullmatch(key) or not VALUE.fullmatch(value)
    ]


def executor_faults(message: LeaseRequest, limits: Limits) -> list[Fault]:
    """Check what an executor says of itself."""
    faults = executor_label_faults(message.labels, limits, path="$.labels")
    if not PLATFORM.fullmatch(message.platform):
        faults.append(Fault(path="$.platform", code="invalid_platform", message="must be a tag such as linux_x86_64"))
    amounts = msgspec.structs.asdict(message.capacity) if message.capacity else {}
    return faults + [
        Fault(path=f"$.capacity.{name}", code="out_of_range", message=f"must be a number up to 2^53, not {amount}")
        for name, amount in amounts.items()
        if not math.isfinite(amount) or abs(amount) > MOST_AMOUNT
    ]
