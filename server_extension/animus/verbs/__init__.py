# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands do: one function per verb, from parsed arguments to a value; how it looks is not decided here."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec

from animus import session as sessions
from animus.client import Client
from animus_contracts.pipeline_runs import PipelineRun
from animus_contracts.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a command is given: its environment, the project named for it, and how to ask for a secret.

    Attributes:
        environment: Variables.
        project: Project named on the command line.
        stack: Closes the connections when the command is over.
        ask_secret: Shows a prompt and returns what was typed, unseen.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    project: str = ""
    stack: ExitStack = field(repr=False)
    ask_secret: Callable[[str], str] = getpass.getpass

    def client(self) -> Client:
        """Return a client for this desk."""
        return self.stack.enter_context(Client(sessions.find(self.environment, project=self.project)))


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Something was done and there is nothing to show but that."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """A run to be shown while it happens.

    Attributes:
        client: Where to follow it.
        run: The run.
        notes: What the user should know about what was submitted.
        wait: Whether the command lasts as long as the run.
        verify: Whether it lasts until a replay's verdict, which then decides.
    """

    client: Client
    run: Run
    notes: Sequence[str] = ()
    wait: bool = False
    verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowingPipeline:
    """A pipeline run to be shown while it happens; members as those of :class:`Following`."""

    client: Client
    run: PipelineRun
    notes: Sequence[str] = ()
    wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer that is also a yes or a no.

    Attributes:
        value: The answer.
        exit_code: 0 for yes, 1 for no.
        notes: What the user should know besides.
    """

    value: Any
    exit_code: int
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Text to be shown as it comes."""

    text: Iterator[str]
