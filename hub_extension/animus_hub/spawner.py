# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A workspace is a named server: one per user and project, with a home folder of its own.

It starts only for a member of the project, its token is bound to the project and to at most the user's role, and it
stops when the membership ends. Nothing of a user's content is read here: the workspace process, which is the user's,
prepares its own home.

All local workspaces run under the one account that runs the Hub. They are kept apart by the Hub's authentication, not
by the operating system; people who must not be able to reach each other's files need another spawner.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from jupyterhub.spawner import (  # type: ignore[import-untyped] # JupyterHub has no types
    SimpleLocalProcessSpawner,
    SpawnException,
)
from traitlets import Unicode

from animus_contracts.identifiers import PROJECT_NAME
from animus_contracts.projects import Role
from animus_hub.control_plane import ControlPlane, ControlPlaneUnavailableError
from animus_hub.groups import role_in, workspace_scope

# What a single-user server needs of the Hub: tell its activity, know who may visit it, reach the control plane.
SERVER_SCOPES = ("users:activity!user", "access:servers!server", "access:services!service=animus")


class LocalWorkspaceSpawner(SimpleLocalProcessSpawner):  # type: ignore[misc] # the base class has no types
    """Starts workspaces as processes of this machine."""

    workspaces = Unicode(help="Folder of the home folders: <workspaces>/<user>/<project>.").tag(config=True)
    repositories = Unicode(help="Folder of the projects' bare git repositories.").tag(config=True)
    public_address = Unicode(help="Address of the proxy, as browsers and workspaces reach it.").tag(config=True)
    control_plane_url = Unicode(help="Address of the control plane without the API prefix.").tag(config=True)
    control_plane_token_file = Unicode(help="File with the token of the Hub's own service account.").tag(config=True)

    @property
    def project(self) -> str:
        """The project the workspace belongs to; it gives the server its name."""
        return str(self.name)

    @property
    def role(self) -> Role | None:
        """The user's role in the project, as the Hub's groups mirror it."""
        return role_in(self.project, (group.name for group in self.user.groups))

    @property
    def folder(self) -> Path:
        """The workspace's home folder."""
        return Path(self.workspaces, str(self.user.name), self.project)

    async def start(self) -> tuple[str, int]:
        """Start the workspace of a member.

        Returns:
            Address and port of the single-user server.

        Raises:
            SpawnException: If the server's name is no project, or the user has no role in it.
        """
        if not PROJECT_NAME.fullmatch(self.project):
            raise SpawnException(
                "A workspace belongs to a project: open it from the list of your projects.", reason="no_project"
            )
        if self.role is None:
            raise SpawnException(
                f"You are not a member of the project {self.project!r}. Ask one of its administrators for a role.",
                reason="not_a_member",
                status_code=403,
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.home_dir = str(self.folder)
        started: tuple[str, int] = await super().start()
        return started

    async def poll_and_notify(self) -> int | None:
        """Look after the workspace from time to time: end it when its user is no member any more."""
        if self.pid and not await self._is_member():
            self.log.warning("Stopping the workspace %s: its user is no member any more", self._log_name)
            await self._signal(signal.SIGTERM)
            await self.wait_for_death(self.term_timeout)
        status: int | None = await super().poll_and_notify()
        return status

    def get_env(self) -> dict[str, str]:
        """Build the environment of the workspace; the token in it is the user's own, bound to the project."""
        environment: dict[str, str] = super().get_env()
        return environment | {
            "ANIMUS_URL": f"{self.public_address}/services/animus",
            "ANIMUS_PROJECT": self.project,
            "ANIMUS_REPOSITORIES": self.repositories,
        }

    def get_args(self) -> list[str]:
        """Build the arguments of the single-user server, which refuses to run as root unless it is told to."""
        arguments: list[str] = super().get_args()
        return arguments + (["--allow-root"] if os.geteuid() == 0 else [])

    async def _is_member(self) -> bool:
        plane = ControlPlane(self.control_plane_url, Path(self.control_plane_token_file))
        try:
            return any(found.project == self.project for found in await plane.memberships(self.user.name))
        except ControlPlaneUnavailableError:
            # Nothing can be done in the project meanwhile; ending people's kernels for an outage would lose their work.
            return True


def workspace_scopes(spawner: LocalWorkspaceSpawner) -> list[str]:
    """Return the scopes of a workspace's token; without a role it may do nothing in any project."""
    role = spawner.role
    return [*SERVER_SCOPES, *([workspace_scope(spawner.project, role)] if role is not None else [])]


WORKSPACE_COMMAND = [sys.executable, "-m", "animus_server.workspace"]
