# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A person's shell: commands are shown as they are typed, and run as programs of their own.

A person's token is in a file that only they can read; nothing else of this process's own settings reaches a command.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from animus.client import Client
from animus.demo.expectations import expect
from animus.demo.people import Person

COMMAND_SECONDS = 600
KEPT = ("PATH", "LANG", "LC_ALL", "TERM", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Where a person types commands.

    Attributes:
        person: Who.
        project: The project in use.
        home: The person's home folder.
        folder: The working folder.
        console: Where commands are shown.
        client: The same person's Python client.
    """

    person: Person
    project: str
    home: Path
    folder: Path
    console: Console
    client: Client

    def animus(self, *words: str, code: int = 0) -> None:
        """Run an ``animus`` command and show it with what it says.

        Raises:
            Disappointment: If it ends with another exit code than ``code``.
        """
        self.console.print(
            f"\n[bold]{self.person.name}[/] [dim]$[/] [cyan]animus {shlex.join(words)}[/]", soft_wrap=True
        )
        done = subprocess.run(  # noqa: S603 - this installation's own program, no shell
            [sys.executable, "-m", "animus.cli", *words],
            cwd=self.folder, env=self._environment(), check=False, timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        expect(done.returncode == code, f"animus {words[0]} ended with {done.returncode}, not with {code}")

    def _environment(self) -> dict[str, str]:
        settings = self.home / ".config" / "animus"
        settings.mkdir(parents=True, exist_ok=True)
        token_file = settings / "demo-token"
        descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(self.person.token)
        return {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "HOME": str(self.home),
            "USER": self.person.name,
            "ANIMUS_URL": f"{self.person.address}/services/animus",
            "ANIMUS_TOKEN_FILE": str(token_file),
            "ANIMUS_PROJECT": self.project,
        }
