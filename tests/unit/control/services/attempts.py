# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What an attempt tells of itself, and what it ends with."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.digests import digest_bytes
from animus_contracts.executions import Provenance
from animus_contracts.run_events import CellEnded, CellStarted, MetricLogged, NotebookStarted, StreamWritten
from animus_contracts.runs import Failure, FailureReason
from animus_control.domain.errors import AnimusError
from tests.unit.control.moments import NOW

BROKE = Failure(reason=FailureReason.USER_CODE, summary="It broke.")
PROVENANCE = Provenance(
    tree="1" * 40, notebook_digest=digest_bytes(b"nb"), python="3.11.7", implementation="CPython", platform="Linux",
    packages={"numpy": "1.26.4"}, environment={"PYTHONHASHSEED": "0"}, limitations=[],
)  # fmt: skip
EVENTS = [
    NotebookStarted(sequence=1, at=NOW, cells_total=2),
    CellStarted(sequence=2, at=NOW, cell_id="a", cell_index=0),
    StreamWritten(sequence=3, at=NOW, cell_id="a", stream="stdout", text="hello\n"),
    MetricLogged(sequence=4, at=NOW, name="accuracy", step=1, value=0.5),
    CellEnded(sequence=5, at=NOW, cell_id="a", cell_index=0, seconds=0.1, status="ok"),
    CellStarted(sequence=6, at=NOW, cell_id="b", cell_index=1),
]


def code_of(action: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AnimusError) as caught:
        action(*arguments, **more)
    return caught.value.code
