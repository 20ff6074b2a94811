# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Environments: define, lock, list."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from animus import locking
from animus.verbs import Desk
from animus_contracts.environments import Environment, EnvironmentLock


def define(desk: Desk, given: Namespace) -> Environment:
    """Define the next version of an environment."""
    wanted = [*given.requirements, *(line for file in given.file for line in _lines(file))]
    return desk.client().environments.define(
        given.name, python=given.python, requirements=wanted, description=given.description
    )


def lock(desk: Desk, given: Namespace) -> EnvironmentLock:
    """Pin the newest version of an environment, by resolving it or to a file that was resolved before."""
    environments = desk.client().environments
    environment = environments.newest(given.name)
    if given.file:
        text = given.file.read_text(encoding="utf-8")
    else:
        text = locking.resolve(environment.requirements, python=environment.python)
    return environments.lock(environment, text, platform=given.platform or locking.platform_tag())


def show_all(desk: Desk, _given: Namespace) -> list[Environment]:
    """List environments, newest version first."""
    return list(desk.client().environments.list())


def show_locks(desk: Desk, given: Namespace) -> list[EnvironmentLock]:
    """List locks, newest first."""
    return list(desk.client().environments.locks(given.name or None))


def _lines(file: Path) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
