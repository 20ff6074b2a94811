# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for a test session: a fresh cluster in a temporary folder, reached by its unix socket alone."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

OWNERS = ("postgres", "nobody")
START_SECONDS = 30.0
# Tests look for logic, not for what survives a power cut; without syncs a test's database costs milliseconds.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresServer:
    """A running server.

    Args:
        binaries: Folder of ``initdb`` and ``postgres``.
        folder: Where the cluster lives; short, since a socket's path is.
        settings: Server settings, as ``name=value``.
    """

    def __init__(self, binaries: Path, folder: Path, settings: tuple[str, ...]) -> None:
        self._folder = folder
        self._prefix = _as_other_user(folder)
        data = str(folder / "data")
        self._run(str(binaries / "initdb"), "-D", data, "-U", "animus", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
        options = [f"unix_socket_directories={folder}", "listen_addresses=", "max_connections=200", *settings]
        flags = [flag for option in options for flag in ("-c", option)]
        self._command = [*self._prefix, str(binaries / "postgres"), "-D", data, *flags]
        self.start()

    def start(self) -> None:
        """Start the server, for the first time or after it was stopped."""
        self._log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        self._wait()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of the server."""
        return f"postgresql://animus@/{database}?host={self._folder}"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Execute a statement as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self, database: str, *, template: str = "template1") -> str:
        """Create a database and return its URL."""
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def stop(self) -> None:
        """End the server at once."""
        pid = int((self._folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        self._process.wait()
        self._log.close()

    def _run(self, *command: str) -> None:
        subprocess.run([*self._prefix, *command], check=True, capture_output=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return


def find_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server of this machine."""
    found = [Path(path) for path in [shutil.which("postgres")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version, reverse=True)
    return next((path.parent for path in found if (path.parent / "initdb").exists()), None)


@contextmanager
def running(binaries: Path, settings: tuple[str, ...] = FAST) -> Iterator[PostgresServer]:
    """Run a server for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="animus-pg-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(binaries, Path(folder), settings)
        try:
            yield server
        finally:
            server.stop()


def _as_other_user(folder: Path) -> list[str]:
    """Return the prefix that runs a command as somebody else than root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    owner = next(name for name in OWNERS if name in names)
    shutil.chown(folder, owner)
    return ["setpriv", f"--reuid={owner}", f"--regid={pwd.getpwnam(owner).pw_gid}", "--clear-groups"]


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.parent.parent.name))
