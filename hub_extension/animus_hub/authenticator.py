# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may log in to a local installation, and which groups mirror their roles.

Authentication, groups and admission are apart: a password proves a name, the control plane says the roles, and
``check_allowed`` admits only accounts of the users file. When the control plane does not answer, a user has no
groups: no right is ever taken from an old answer. What came from the browser is measured before it is logged.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator  # type: ignore[import-untyped] # JupyterHub has no types
from traitlets import Unicode

from animus_hub.control_plane import ControlPlane, ControlPlaneUnavailableError
from animus_hub.groups import group_names
from animus_hub.users import MAX_PASSWORD_LENGTH, UsersFile, is_user_name


class LocalAuthenticator(Authenticator):  # type: ignore[misc] # the base class has no types
    """Accounts of one machine: names and scrypt hashes in a file, groups from the control plane."""

    users_file = Unicode(help="File of accounts, see animus_hub.users; it is read at each login.").tag(config=True)
    control_plane_url = Unicode(help="Address of the control plane without the API prefix.").tag(config=True)
    control_plane_token_file = Unicode(help="File with the token of the Hub's own service account.").tag(config=True)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """Check name and password.

        Args:
            handler: The login request.
            data: ``username`` and ``password`` as they were typed.

        Returns:
            Name, administrator flag and groups; None when name or password is wrong.
        """
        del handler
        name, password = data.get("username", ""), data.get("password", "")
        if not is_user_name(name) or len(password) > MAX_PASSWORD_LENGTH:
            return None
        account = await asyncio.to_thread(UsersFile(Path(self.users_file)).verify, name, password)
        if account is None:
            return None
        return {"name": name, "admin": account.admin, "groups": await self._groups(name)}

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """Renew administrator flag and groups; an account that is gone must log in again, and cannot."""
        del handler
        account = UsersFile(Path(self.users_file)).accounts().get(user.name)
        if account is None:
            return False
        return {"name": user.name, "admin": account.admin, "groups": await self._groups(user.name)}

    def normalize_username(self, username: str) -> str:
        """Return the name unchanged: it is canonical or it is nobody's, so no two spellings meet in one account."""
        return username

    def validate_username(self, username: str) -> bool:
        """Accept canonical names only."""
        return is_user_name(username)

    def check_allowed(self, username: str, authentication: dict[str, Any] | None = None) -> bool:
        """Admit the accounts of the users file and nobody else."""
        if authentication is not None and username in UsersFile(Path(self.users_file)).accounts():  # noqa: SIM103 - the last line of an admission is a refusal
            return True
        return False

    async def _groups(self, name: str) -> list[str]:
        plane = ControlPlane(self.control_plane_url, Path(self.control_plane_token_file))
        try:
            return group_names(await plane.memberships(name))
        except ControlPlaneUnavailableError as error:
            self.log.warning("%s has no groups now: %s", name, error)
            return []
