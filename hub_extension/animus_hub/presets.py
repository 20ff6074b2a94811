# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Ready configurations of JupyterHub; a ``jupyterhub_config.py`` only names one of them.

Everything of an installation is configured here and nowhere else: what listens, who may log in, which services run
and what their credentials may do. Security-relevant defaults are written out even where JupyterHub has the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from animus_contracts.projects import Role
from animus_hub.authenticator import LocalAuthenticator
from animus_hub.groups import CUSTOM_SCOPES, SCOPE, roles_by_project
from animus_hub.installation import LOOPBACK, PORT_VARIABLE, Installation, Ports
from animus_hub.spawner import SERVER_SCOPES, WORKSPACE_COMMAND, LocalWorkspaceSpawner, workspace_scopes

HUB_SERVICE = "animus-hub"
CONTROL_SERVICE = "animus"
EXECUTOR = "local"
TOKEN_FILE_OF_HUB = "hub-service-token"  # noqa: S105 - the name of a file
TOKEN_FILE_OF_EXECUTOR = "executor-token"  # noqa: S105 - the name of a file
REPOSITORIES_VARIABLE = "ANIMUS_EXECUTOR_REPOSITORIES"
TETHERED = (sys.executable, "-m", "animus_hub.tether")
RELEASE_SECONDS = 10.0
"""How long the ports of the last start are waited for: a run that outlived it looks for the control plane there."""

MEMBERSHIP_SECONDS = 15
"""How often roles are asked for again; with the time of one question this stays below the promised 30 s."""


def local(c: Any, installation: Installation | None = None, port: int | None = None) -> Ports:
    """Configure one machine: Hub, proxy, control plane and executor, on the loopback interface, under one folder.

    Args:
        c: JupyterHub's configuration object.
        installation: The data folder; taken from the environment when absent.
        port: The public port; taken from the environment, or any free one, when absent.

    Returns:
        The ports chosen.
    """
    place = installation or Installation.from_environment(os.environ)
    place.prepare()
    ports = place.choose_ports(port or int(os.environ.get(PORT_VARIABLE, "0")) or None, patience=RELEASE_SECONDS)
    _configure_hub(c, place, ports)
    _configure_login(c, place, ports)
    _configure_workspaces(c, place, ports)
    _configure_services(c, place, ports)
    _configure_rights(c)
    return ports


def _network_variables() -> dict[str, str]:
    # Where a machine reaches the world through a proxy or a mirror, or trusts authorities of its own, those who
    # install packages and fetch code need to know. Hub and control plane do neither.
    names = {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE", "GIT_SSL_CAINFO"}
    return {name: value for name, value in os.environ.items() if name.upper() in names or name.startswith("UV_")}


def _projects_of(user: Any) -> dict[str, Role]:
    # JupyterHub calls a template variable with the user of the page, who is None on the login page.
    return roles_by_project(group.name for group in user.groups) if user is not None else {}


def _address(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def _configure_hub(c: Any, place: Installation, ports: Ports) -> None:
    hub = c.JupyterHub
    hub.bind_url = _address(ports.public)
    hub.hub_bind_url = _address(ports.hub)
    hub.db_url = f"sqlite:///{place.data / 'jupyterhub.sqlite'}"
    hub.cookie_secret_file = str(place.secret_file("cookie-secret"))
    hub.pid_file = str(place.data / "jupyterhub.pid")
    hub.template_paths = [str(Path(__file__).parent / "templates")]
    hub.template_vars = {"animus_projects": _projects_of}
    hub.default_url = "/hub/home"
    hub.allow_named_servers = True
    hub.active_server_limit = 0
    hub.cleanup_servers = True
    hub.cleanup_proxy = True
    hub.shutdown_on_logout = False
    # A refusal comes within a second and is the answer; a start takes longer and shows its progress meanwhile.
    hub.tornado_settings = {"slow_spawn_timeout": 1}
    proxy = c.ConfigurableHTTPProxy
    proxy.command = [*TETHERED, "animus_hub.proxy"]
    proxy.api_url = _address(ports.proxy)
    proxy.auth_token = place.secret_file("proxy-token").read_text(encoding="ascii")
    proxy.pid_file = str(place.data / "proxy.pid")
    proxy.should_start = True


def _configure_login(c: Any, place: Installation, ports: Ports) -> None:
    c.JupyterHub.authenticator_class = LocalAuthenticator
    login = c.LocalAuthenticator
    login.users_file = str(place.users_file)
    login.control_plane_url = _address(ports.control) + f"/services/{CONTROL_SERVICE}"
    login.control_plane_token_file = str(place.secret_file(TOKEN_FILE_OF_HUB))
    login.manage_groups = True
    login.auth_refresh_age = MEMBERSHIP_SECONDS
    login.refresh_pre_spawn = True
    login.any_allow_config = True  # check_allowed decides, from the users file
    login.enable_auth_state = False
    login.delete_invalid_users = False


def _configure_workspaces(c: Any, place: Installation, ports: Ports) -> None:
    c.JupyterHub.spawner_class = LocalWorkspaceSpawner
    workspace = c.LocalWorkspaceSpawner
    workspace.workspaces = str(place.workspaces)
    workspace.repositories = str(place.repositories)
    workspace.public_address = _address(ports.public)
    workspace.control_plane_url = _address(ports.control) + f"/services/{CONTROL_SERVICE}"
    workspace.control_plane_token_file = str(place.secret_file(TOKEN_FILE_OF_HUB))
    workspace.cmd = WORKSPACE_COMMAND
    workspace.ip = LOOPBACK
    workspace.default_url = "/lab"
    workspace.poll_interval = MEMBERSHIP_SECONDS
    workspace.start_timeout = 60
    workspace.http_timeout = 60
    # Nothing of the Hub's own environment reaches a workspace but what finds programs, the network and a language.
    workspace.env_keep = sorted({"PATH", "LANG", "LC_ALL"} | _network_variables().keys())
    workspace.server_token_scopes = workspace_scopes
    workspace.oauth_client_allowed_scopes = []


def _configure_services(c: Any, place: Installation, ports: Ports) -> None:
    # Users and executor share this machine, so a project's repository may be a folder of it. The operator may allow
    # more to the executor; the control plane admits what the executor can fetch.
    repositories = [place.repositories.as_uri() + "/", *os.environ.get(REPOSITORIES_VARIABLE, "").split()]
    c.JupyterHub.services = [
        _control_plane(place, _address(ports.control), repositories),
        _executor(place, _address(ports.control), repositories),
        {
            "name": HUB_SERVICE,
            "api_token": place.secret_file(TOKEN_FILE_OF_HUB).read_text(encoding="ascii"),
            "display": False,
        },
    ]


def _control_plane(place: Installation, address: str, repositories: list[str]) -> dict[str, Any]:
    return {
        "name": CONTROL_SERVICE,
        "url": address,
        "command": [*TETHERED, "animus_control"],
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": [f"{SCOPE}:{Role.ADMIN}"],
        "cwd": str(place.data),
        "environment": {
            "ANIMUS_DATABASE_URL": f"sqlite:///{place.data / 'control.sqlite'}",
            "ANIMUS_OBJECTS_URL": (place.data / "objects").as_uri(),
            "ANIMUS_EXECUTORS": f"{EXECUTOR}={place.secret_digest(TOKEN_FILE_OF_EXECUTOR)}",
            "ANIMUS_PLATFORM_ADMINS": f"service:{HUB_SERVICE}",
            "ANIMUS_REPOSITORY_SCHEMES": ",".join(sorted({urlsplit(prefix).scheme for prefix in repositories})),
        },
    }


def _executor(place: Installation, control_plane: str, repositories: list[str]) -> dict[str, Any]:
    return {
        "name": "animus-executor",
        "command": [*TETHERED, "animus_executor"],
        "cwd": str(place.data),
        "environment": {
            **_network_variables(),
            "HOME": str(Path.home()),
            "ANIMUS_EXECUTOR_NAME": EXECUTOR,
            "ANIMUS_EXECUTOR_CONTROL_PLANE": f"{control_plane}/services/{CONTROL_SERVICE}",
            "ANIMUS_EXECUTOR_TOKEN_FILE": str(place.secret_file(TOKEN_FILE_OF_EXECUTOR)),
            "ANIMUS_EXECUTOR_DATA": str(place.executor),
            # The Hub stops its services with itself, and a restart shall cost no run; `animus_hub down` ends them.
            "ANIMUS_EXECUTOR_LEAVES_RUNS": "1",
            REPOSITORIES_VARIABLE: " ".join(repositories),
        },
    }


def _configure_rights(c: Any) -> None:
    hub = c.JupyterHub
    hub.custom_scopes = CUSTOM_SCOPES
    hub.load_roles = [
        # The scope of a person is only a ceiling: the control plane's role bindings decide what is below it.
        {
            "name": "user",
            "description": "What everybody may do: their own servers, and Animus as far as their roles go",
            "scopes": ["self", f"access:services!service={CONTROL_SERVICE}", f"{SCOPE}:{Role.ADMIN}"],
        },
        {
            "name": "server",
            "description": "What a workspace's own token may do at the Hub",
            "scopes": list(SERVER_SCOPES),
        },
        {
            "name": f"{CONTROL_SERVICE}-control-plane",
            "description": "The control plane asks for the groups of those in whose name it does something",
            "scopes": ["read:users:groups"],
            "services": [CONTROL_SERVICE],
        },
        {
            "name": HUB_SERVICE,
            "description": "The Hub asks the control plane for roles, to mirror them in groups",
            "scopes": [f"{SCOPE}:{Role.ADMIN}"],
            "services": [HUB_SERVICE],
        },
    ]
