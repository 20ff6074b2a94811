# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A Hub that is killed takes its services with it and comes back at the same address with everything it knew."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from animus.client import Client
from animus.demo import scenes
from animus.demo.hub import LocalHub
from animus.demo.people import log_in
from animus.session import Session
from tests.patience import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUIET_SECONDS = 30


def listens(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((urlsplit(address).hostname or "", urlsplit(address).port or 0)) == 0


def test_a_killed_hub_leaves_nothing_running_and_starts_again_as_it_was() -> None:
    hub = LocalHub(Path(tempfile.mkdtemp(prefix="animus-killed-")))
    try:
        passwords = hub.passwords()
        hub.start()
        address = hub.address
        ann = log_in(address, "ann", passwords["ann"])
        session = Session(url=f"{address}/services/animus", token=ann.token, project=scenes.PROJECT)
        with Client(session) as client:
            project = client.projects.create(scenes.PROJECT)

            os.kill(hub.pid or 0, signal.SIGKILL)
            until(lambda: hub.pid is None and not listens(address), seconds=QUIET_SECONDS, pause=0.1)

            hub.start()
            assert hub.address == address
            assert client.projects.read() == project
            assert client.audit.verify()[0] > 0
    finally:
        hub.remove()
