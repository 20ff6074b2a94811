# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One installation lives under one folder, and everything secret in it can be read by its owner only.

Secrets are made once, from the operating system's randomness, and are handed on as paths or digests. Ports are chosen
once and kept while they stay free, so that a bookmark survives a restart.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8000
RELEASE_LOOK_SECONDS = 0.2
PORT_NAMES = ("public", "hub", "proxy", "control")
DATA_VARIABLE = "ANIMUS_DATA"
PORT_VARIABLE = "ANIMUS_PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the processes of an installation listen, all on the loopback interface.

    Attributes:
        public: The proxy, the only one people use.
        hub: JupyterHub itself, behind the proxy.
        proxy: The proxy's own interface to the Hub.
        control: The control plane, behind the proxy.
    """

    public: int
    hub: int
    proxy: int
    control: int


@dataclass(frozen=True, slots=True)
class Installation:
    """The data folder of an installation and the names in it."""

    data: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Installation:
        """Find the installation that ``ANIMUS_DATA`` names, in the user's data folder when it names none."""
        home = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        return cls(Path(environment.get(DATA_VARIABLE) or home / "animus").absolute())

    @property
    def users_file(self) -> Path:
        """Accounts of the local authenticator."""
        return self.data / "users.json"

    @property
    def workspaces(self) -> Path:
        """Home folders, one per user and project."""
        return self.data / "workspaces"

    @property
    def repositories(self) -> Path:
        """Bare git repositories, one per project."""
        return self.data / "repositories"

    @property
    def executor(self) -> Path:
        """The executor's data folder."""
        return self.data / "executor"

    @property
    def lock_file(self) -> Path:
        """Locked by the running Hub, with the number of its process in it."""
        return self.data / "lock"

    @property
    def ports_file(self) -> Path:
        """The ports in use."""
        return self.data / "ports.json"

    def prepare(self) -> None:
        """Create the folders; nobody else may look inside."""
        for folder in (self.data, self.workspaces, self.repositories, self.data / "secrets"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def secret_file(self, name: str) -> Path:
        """Return the path of a secret, making the secret first when there is none.

        Args:
            name: File name of the secret.

        Returns:
            A file with mode 0600 that holds 64 hexadecimal characters (256 random bits).
        """
        path = self.data / "secrets" / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(32))
        return path

    def secret_digest(self, name: str) -> str:
        """Return ``sha256:<hex>`` of a secret, which may be shown to those who only check it."""
        return "sha256:" + hashlib.sha256(self.secret_file(name).read_bytes()).hexdigest()

    def choose_ports(self, public: int | None = None, *, patience: float = 0.0) -> Ports:
        """Choose free ports, preferring those of the last start, and record them.

        Args:
            public: The port people shall use; another free one is *not* taken in its place.
            patience: How many seconds to wait for the ports of the last start, which a killed Hub's processes may still
                hold.

        Raises:
            OSError: If ``public`` is given and busy.
        """
        recorded = self.recorded_ports()
        wanted = {"public": DEFAULT_PORT} | recorded | ({"public": public} if public else {})
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not all(map(_is_free, recorded.values())):
            time.sleep(RELEASE_LOOK_SECONDS)
        with ExitStack() as held:
            chosen = dict(_hold_ports(held, wanted, insist_on_public=public is not None))
        ports = Ports(**chosen)
        self.ports_file.write_text(json.dumps(chosen), encoding="utf-8")
        return ports

    def recorded_ports(self) -> dict[str, int]:
        """Return the ports of the last start by name, those that are known."""
        try:
            recorded = json.loads(self.ports_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return {name: port for name, port in recorded.items() if name in PORT_NAMES and isinstance(port, int)}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
        return True


def _hold_ports(held: ExitStack, wanted: Mapping[str, int], *, insist_on_public: bool) -> Iterator[tuple[str, int]]:
    # All sockets stay open until the last port is chosen, so that no port is given twice.
    for name in PORT_NAMES:
        listener = held.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, wanted.get(name, 0)))
        except OSError:
            if name == "public" and insist_on_public:
                raise
            listener.bind((LOOPBACK, 0))
        # Without listening, Linux lets a second socket with SO_REUSEADDR bind the same port.
        listener.listen()
        yield name, listener.getsockname()[1]
