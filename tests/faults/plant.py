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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from animus.client import Client
from animus.session import Session
from tests.bench.peers import free_port
from tests.fakes.hub import SERVICE_TOKEN, a_user, hub_answering

CONTROL, SECOND_CONTROL = "control", "control-2"
EXECUTOR, SECOND_EXECUTOR = "executor", "executor-2"
EXECUTORS = {EXECUTOR: "local", SECOND_EXECUTOR: "second"}
"""The names of executors at the control plane, by the name of their process."""

ADMIN = "ann"
READY_SECONDS = 30.0
CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE}
"""How processes end that nobody ended; tests kill and stop them, and say so."""

AHEAD = Path(__file__).with_name("control_plane_ahead.py")
SHORT_TOKENS = Path(__file__).with_name("control_plane_short_tokens.py")


@dataclass(slots=True)
class Plant:
    """The processes of an installation without a Hub's proxy.

    Attributes:
        folder: Everything it stores.
        tokens: Tokens by user; :data:`ADMIN` is a platform administrator.
        stores: Where database and objects are.
        database_url: The control plane's database.
        lease_seconds: How long a lease lasts; short, so that a campaign sees many of them end.
        ahead: By how many seconds the clocks of control planes that are started from now on are ahead.
        token_seconds: How long run tokens live that control planes started from now on give; 0 for as long as ever.
        people: What the Hub knows of users, by their tokens; it may be changed at any time.
    """

    folder: Path
    hub_url: str
    tokens: Mapping[str, str]
    stores: Path
    database_url: str
    lease_seconds: int = 6
    people: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    ahead: int = 0
    token_seconds: int = 0
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in (CONTROL, SECOND_CONTROL)})
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """Base URL of the control plane."""
        return self.url_of(CONTROL)

    def url_of(self, name: str) -> str:
        """Return the base URL of one of two control planes."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def repositories(self) -> Path:
        """Where repositories must be for the executor to fetch them."""
        return self.folder / "repositories"

    @property
    def objects(self) -> Path:
        """The object store's folder."""
        return self.stores / "objects"

    def client(self, project: str = "", *, user: str = ADMIN, control: str = CONTROL) -> Client:
        """Return a client that acts for a user."""
        return Client(Session(url=self.url_of(control), token=self.tokens[user], project=project), project=project)

    def executor_token(self, name: str = EXECUTOR) -> str:
        """Return an executor's credential."""
        return self._token_file(name).read_text()

    def _token_file(self, name: str) -> Path:
        file = self.folder / f"{name}-token"
        if not file.exists():
            file.touch(0o600)
            file.write_text(secrets.token_urlsafe(32))
        return file

    def _variables(self, name: str) -> dict[str, str]:
        if name in EXECUTORS:
            return {
                "ANIMUS_EXECUTOR_CONTROL_PLANE": self.url,
                "ANIMUS_EXECUTOR_NAME": EXECUTORS[name],
                "ANIMUS_EXECUTOR_TOKEN_FILE": str(self._token_file(name)),
                "ANIMUS_EXECUTOR_DATA": str(self.folder / name),
                "ANIMUS_EXECUTOR_REPOSITORIES": self.repositories.as_uri() + "/",
            }
        hashes = {each: hashlib.sha256(self.executor_token(each).encode()).hexdigest() for each in EXECUTORS}
        return {
            "ANIMUS_DATABASE_URL": self.database_url,
            "ANIMUS_OBJECTS_URL": self.objects.as_uri(),
            "ANIMUS_EXECUTORS": ",".join(f"{EXECUTORS[each]}=sha256:{digest}" for each, digest in hashes.items()),
            "ANIMUS_LISTEN": f"127.0.0.1:{self.ports[name]}",
            "ANIMUS_REPOSITORY_SCHEMES": "file",
            "ANIMUS_LEASE_SECONDS": str(self.lease_seconds),
            "JUPYTERHUB_API_URL": self.hub_url,
            "JUPYTERHUB_API_TOKEN": SERVICE_TOKEN,
        }

    def start(self, name: str, *, failpoints: str = "", **more: str) -> None:
        """Start one process; it is ready when it answers, which :meth:`wait_ready` waits for.

        Args:
            name: Which one.
            failpoints: Faults to inject into it, until it is started again.
            more: Further variables.
        """
        prefix = "ANIMUS_EXECUTOR_" if name in EXECUTORS else "ANIMUS_"
        faults = {f"{prefix}FAILPOINTS": failpoints, f"{prefix}ALLOW_FAILPOINTS": "1"} if failpoints else {}
        variables = self._variables(name) | faults | more
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANIMUS_", "JUPYTERHUB_"))}
        log = self.logs.enter_context((self.folder / f"{name}.log").open("ab"))
        self.processes[name] = subprocess.Popen(
            self._command(name),
            env=kept | variables,
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _command(self, name: str) -> list[str]:
        if name not in EXECUTORS and self.token_seconds:
            return [sys.executable, str(SHORT_TOKENS), str(self.token_seconds)]
        if name in EXECUTORS or not self.ahead:
            return [sys.executable, "-m", f"animus_{name.partition('-')[0]}"]
        return [sys.executable, str(AHEAD), str(self.ahead)]

    def wait_ready(self, name: str = CONTROL) -> float:
        """Wait until the control plane is ready; return how long that took in seconds."""
        begin = time.monotonic()
        said = "nothing"
        while time.monotonic() - begin < READY_SECONDS and self.processes[name].poll() is None:
            try:
                answer = httpx.get(f"{self.url_of(name)}/readyz", timeout=2)
            except httpx.TransportError as error:
                said = str(error)
            else:
                if answer.status_code == httpx.codes.OK:
                    return time.monotonic() - begin
                said = answer.text
            time.sleep(0.05)
        message = f"{name} is not ready after {READY_SECONDS} s and says {said}; see {self.folder / f'{name}.log'}"
        raise TimeoutError(message)

    def kill(self, name: str) -> None:
        """Kill one process without warning, as a power failure of it alone would."""
        process = self.processes[name]
        process.kill()
        process.wait(timeout=10)

    def revive(self) -> None:
        """Start again what has ended by itself, as whoever supervises services does."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                assert process.returncode not in CRASHES, self._crash(name)
                self.start(name)

    def run_processes(self, running: str = "") -> list[psutil.Process]:
        """Return what works in the plant's folder besides its own processes: parents, supervisors, kernels.

        They are not looked for below their executor, because they may outlive it.

        Args:
            running: What their command line contains.
        """
        own = {process.pid for process in self.processes.values()}
        others = (process for process in psutil.process_iter() if process.pid not in own)
        return [process for process in others if self._holds(process, running)]

    def _holds(self, process: psutil.Process, running: str) -> bool:
        folder = str(self.folder)
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            return running in command and (folder in command or process.cwd().startswith(folder))
        return False

    def stop(self) -> None:
        """Stop everything."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self.run_processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.logs.close()
        crashes = [self._crash(name) for name, each in self.processes.items() if each.returncode in CRASHES]
        assert not crashes, "\n".join(crashes)

    def _crash(self, name: str) -> str:
        text = (self.folder / f"{name}.log").read_text()
        return f"{name} crashed ({self.processes[name].returncode}): {text[text.find('Fatal Python error') :]}"


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
    people = {token: a_user(name, admin=name == ADMIN) for name, token in tokens.items()}
    with hub_answering(people) as hub_url:
        stores = stores or folder
        database_url = database_url or f"sqlite:///{stores / 'control.sqlite'}"
        plant = Plant(folder, hub_url, tokens, stores, database_url, lease_seconds, people=people)
        plant.repositories.mkdir(parents=True)
        try:
            plant.start(CONTROL)
            plant.wait_ready()
            if executes:
                plant.start(EXECUTOR)
            yield plant
        finally:
            plant.stop()
