# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Control plane and executor as real processes under one folder, to be killed and started again at will."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from animus.client import Client
from animus.session import Session
from tests.bench.peers import free_port
from tests.fakes.hub import a_user, hub_answering

CONTROL = "control"
EXECUTOR = "executor"
ADMIN = "ann"
READY_SECONDS = 30.0


@dataclass(slots=True)
class Plant:
    """The processes of an installation without a Hub's proxy.

    Attributes:
        folder: Everything it stores.
        tokens: Tokens by user; :data:`ADMIN` is a platform administrator.
        stores: Where database and objects are.
        database_url: The control plane's database.
        lease_seconds: How long a lease lasts; short, so that a campaign sees many of them end.
    """

    folder: Path
    hub_url: str
    tokens: Mapping[str, str]
    stores: Path
    database_url: str
    lease_seconds: int = 6
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """Base URL of the control plane."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def repositories(self) -> Path:
        """Where repositories must be for the executor to fetch them."""
        return self.folder / "repositories"

    @property
    def objects(self) -> Path:
        """The object store's folder."""
        return self.stores / "objects"

    def client(self, project: str = "", *, user: str = ADMIN) -> Client:
        """Return a client that acts for a user."""
        return Client(Session(url=self.url, token=self.tokens[user], project=project), project=project)

    def _token_file(self) -> Path:
        file = self.folder / "executor-token"
        if not file.exists():
            file.touch(0o600)
            file.write_text(secrets.token_urlsafe(32))
        return file

    def start(self, name: str) -> None:
        """Start one process; it is ready when it answers, which :meth:`wait_ready` waits for."""
        digest = hashlib.sha256(self._token_file().read_bytes()).hexdigest()
        variables = {
            CONTROL: {
                "ANIMUS_DATABASE_URL": self.database_url,
                "ANIMUS_OBJECTS_URL": self.objects.as_uri(),
                "ANIMUS_EXECUTORS": f"local=sha256:{digest}",
                "ANIMUS_LISTEN": f"127.0.0.1:{self.port}",
                "ANIMUS_REPOSITORY_SCHEMES": "file",
                "ANIMUS_LEASE_SECONDS": str(self.lease_seconds),
                "JUPYTERHUB_API_URL": self.hub_url,
            },
            EXECUTOR: {
                "ANIMUS_EXECUTOR_CONTROL_PLANE": self.url,
                "ANIMUS_EXECUTOR_NAME": "local",
                "ANIMUS_EXECUTOR_TOKEN_FILE": str(self._token_file()),
                "ANIMUS_EXECUTOR_DATA": str(self.folder / "executor"),
                "ANIMUS_EXECUTOR_REPOSITORIES": self.repositories.as_uri() + "/",
            },
        }[name]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANIMUS_", "JUPYTERHUB_"))}
        log = self.logs.enter_context((self.folder / f"{name}.log").open("ab"))
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", f"animus_{name if name == EXECUTOR else 'control'}"],
            env=kept | variables,
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def wait_ready(self) -> float:
        """Wait until the control plane is ready; return how long that took in seconds."""
        begin = time.monotonic()
        while time.monotonic() - begin < READY_SECONDS:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == httpx.codes.OK:
                    return time.monotonic() - begin
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        message = f"the control plane is not ready after {READY_SECONDS} s; see {self.folder / 'control.log'}"
        raise TimeoutError(message)

    def kill(self, name: str) -> None:
        """Kill one process without warning, as a power failure of it alone would."""
        process = self.processes[name]
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def revive(self) -> None:
        """Start again what has ended by itself, as whoever supervises services does."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)

    def run_processes(self) -> list[psutil.Process]:
        """Return what runs below the executor: parents, supervisors, kernels."""
        if EXECUTOR not in self.processes:
            return []
        try:
            return psutil.Process(self.processes[EXECUTOR].pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """Stop everything."""
        left = [child for child in self.run_processes() if child.is_running()]
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in left:
            if child.is_running():
                child.kill()
        self.logs.close()


@contextmanager
def a_plant(
    folder: Path,
    *,
    lease_seconds: int = 6,
    users: Sequence[str] = (),
    stores: Path | None = None,
    database_url: str = "",
    executes: bool = True,
) -> Iterator[Plant]:
    """Run an installation until the block ends.

    Args:
        folder: Where it is.
        lease_seconds: How long a lease lasts.
        users: Who can log in besides the administrator.
        stores: Where database and objects are, if elsewhere.
        database_url: The database, if it is not SQLite.
        executes: Whether an executor is started, too.
    """
    tokens = {name: secrets.token_urlsafe(24) for name in (ADMIN, *users)}
    with hub_answering({token: a_user(name, admin=name == ADMIN) for name, token in tokens.items()}) as hub_url:
        stores = stores or folder
        database_url = database_url or f"sqlite:///{stores / 'control.sqlite'}"
        plant = Plant(folder, hub_url, tokens, stores, database_url, lease_seconds)
        plant.repositories.mkdir(parents=True)
        try:
            plant.start(CONTROL)
            plant.wait_ready()
            if executes:
                plant.start(EXECUTOR)
            yield plant
        finally:
            plant.stop()
