# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Environments: what a run needs, and the locks that say exactly what it gets."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import Group
from animus.errors import RefusedError, UsageError
from animus_contracts.environments import (
    DefineEnvironment,
    Environment,
    EnvironmentLock,
    LockEnvironment,
    Resources,
)
from animus_contracts.pages import NamedListQuery


class Environments(Group):
    """The project's environments and locks."""

    def define(
        self,
        name: str,
        *,
        python: str,
        requirements: list[str],
        description: str = "",
        limits: Resources | None = None,
    ) -> Environment:
        """Define the next version of an environment."""
        body = DefineEnvironment(
            name=name, python=python, requirements=requirements, description=description, limits=limits or Resources()
        )
        environment: Environment = self._call("environments.define", body)
        return environment

    def list(self, name: str | None = None) -> Iterator[Environment]:
        """Yield environments, newest version first."""
        yield from self._pages("environments.list", NamedListQuery(name=name))

    def newest(self, name: str) -> Environment:
        """Return the newest version of an environment.

        Raises:
            RefusedError: If there is none of this name.
        """
        for environment in self.list(name):
            return environment
        raise RefusedError("environment_not_found", f"there is no environment {name!r}", remedy="animus env list")

    def lock(self, environment: Environment, requirements: str, *, platform: str = "linux_x86_64") -> EnvironmentLock:
        """Pin an environment to a requirements text with hashes."""
        body = LockEnvironment(environment_id=environment.environment_id, requirements=requirements, platform=platform)
        lock: EnvironmentLock = self._call("environment_locks.create", body)
        return lock

    def locks(self, name: str | None = None) -> Iterator[EnvironmentLock]:
        """Yield locks, newest first, all or those of one environment."""
        yield from self._pages("environment_locks.list", NamedListQuery(name=name))

    def choose(self, name: str) -> EnvironmentLock:
        """Return the newest lock of an environment; without a name, of the only one that has locks.

        Raises:
            RefusedError: If there is no lock.
            UsageError: If there are several environments to choose from.
        """
        locks = list(self.locks(name or None))
        names = sorted({lock.environment for lock in locks})
        if not locks:
            what = f"environment {name!r} has no lock" if name else "the project has no locked environment"
            remedy = f"animus env lock {name or 'NAME'}"
            raise RefusedError("environment_lock_not_found", what, remedy=remedy)
        if len(names) > 1:
            raise UsageError("which_environment", f"there are several: {', '.join(names)}", remedy="say --env NAME")
        return locks[0]
