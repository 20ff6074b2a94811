# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``world`` is a machine on which one run is supervised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.control_plane import ControlPlaneSimulator
from tests.unit.runner.supervision import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ControlPlaneSimulator() as simulator:
        yield World(tmp_path, simulator)
