# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping an installation in the background, under one data folder.

A process is only ever ended by the id it recorded in its own data folder, after making sure that it is that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from animus.demo.expectations import Disappointment

START_SECONDS = 90
STOP_SECONDS = 30
END_SECONDS = 180
RUNNING = b"JupyterHub is now running"


class LocalHub:
    """The installation of a data folder.

    Args:
        data: The data folder; an absolute path.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where the Hub and its services write what they have to say."""
        return self.data / "hub.log"

    @property
    def address(self) -> str:
        """Address for browsers, such as ``http://127.0.0.1:8000``."""
        ports = json.loads((self.data / "ports.json").read_text(encoding="utf-8"))
        return f"http://127.0.0.1:{ports['public']}"

    @property
    def pid(self) -> int | None:
        """Id of the running Hub's process, None when it does not run."""
        try:
            pid = int((self.data / "jupyterhub.pid").read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except (OSError, ValueError):
            return None
        return pid if "jupyterhub" in command else None

    def start(self, port: int | None = None) -> None:
        """Start the Hub in the background and wait until it and the control plane answer.

        Raises:
            Disappointment: If they do not.
        """
        if self.pid is None:
            self._reap()
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            command = [sys.executable, "-m", "animus_hub", "up", "--data", str(self.data)]
            with self.log.open("ab") as log:
                said_before = log.tell()
                self._process = process = subprocess.Popen(  # noqa: S603 - this program with another module
                    command + (["--port", str(port)] if port else []),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            # The Hub says so when everything is started; asking it over and over would fill its log before it can.
            self._wait(lambda: RUNNING in self.log.read_bytes()[said_before:], lambda: process.poll() is not None)
        self._wait(self._is_ready, lambda: self.pid is None)

    def passwords(self) -> dict[str, str]:
        """Give the installation's first accounts new passwords and return them by name."""
        command = [sys.executable, "-m", "animus_hub", "passwords", "--json", "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - this program with another module
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def stop(self) -> None:
        """Stop the Hub as Ctrl-C does: started runs go on, and the next start takes them up."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.pid == pid and time.monotonic() < deadline:
                time.sleep(0.1)
            self._reap()

    def end(self) -> str:
        """Stop everything for good, runs that outlived the Hub included; return what was said about it."""
        command = [sys.executable, "-m", "animus_hub", "down", "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS, check=False)  # noqa: S603 - this program with another module
        self._reap()
        if done.returncode:
            raise Disappointment(f"the installation does not end: {done.stderr.strip()}")
        return done.stdout

    def remove(self) -> str:
        """Stop everything for good and remove the data folder, read-only parts included; return what was said."""
        said = self.end()
        if not (self.data / "ports.json").exists():
            return said  # never remove a folder that is not an installation's
        for folder, _, _ in os.walk(self.data):
            Path(folder).chmod(0o700)
        shutil.rmtree(self.data)
        return said

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(f"{self.address}/services/animus/readyz", timeout=2, trust_env=False)
            return answer.status_code == httpx.codes.OK
        return False

    def _wait(self, is_done: Callable[[], bool], has_ended: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_done():
            if has_ended() or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
                raise Disappointment(f"the installation does not start; the end of {self.log}:\n{tail}")
            time.sleep(0.1)
