# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The local preset listens on the loopback interface only and hands no secret to those who need none."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from traitlets.config import Config

from animus_hub.installation import Installation
from animus_hub.presets import TOKEN_FILE_OF_EXECUTOR, TOKEN_FILE_OF_HUB, local


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "data")


@pytest.fixture(name="c")
def _configuration(place: Installation) -> Config:
    configuration = Config()
    local(configuration, place)
    return configuration


def services(c: Config) -> dict[str, dict[str, Any]]:
    return {service["name"]: service for service in c.JupyterHub.services}


def test_everything_listens_on_the_loopback_interface(c: Config) -> None:
    addresses = [
        c.JupyterHub.bind_url,
        c.JupyterHub.hub_bind_url,
        c.ConfigurableHTTPProxy.api_url,
        services(c)["animus"]["url"],
    ]
    assert {urlsplit(address).hostname for address in addresses} == {"127.0.0.1"}
    assert c.LocalWorkspaceSpawner.ip == "127.0.0.1"
    assert len({urlsplit(address).port for address in addresses}) == len(addresses)


@pytest.mark.parametrize("name", [TOKEN_FILE_OF_EXECUTOR, "cookie-secret"])
def test_a_secret_of_one_process_stands_in_no_configuration(c: Config, place: Installation, name: str) -> None:
    assert place.secret_file(name).read_text() not in repr(c)


def test_services_get_secrets_as_files_or_digests(c: Config, place: Installation) -> None:
    environments = [str(service.get("environment", "")) for service in services(c).values()]
    for name in (TOKEN_FILE_OF_EXECUTOR, TOKEN_FILE_OF_HUB, "proxy-token", "cookie-secret"):
        assert not any(place.secret_file(name).read_text() in environment for environment in environments)
    assert place.secret_digest(TOKEN_FILE_OF_EXECUTOR) in services(c)["animus"]["environment"]["ANIMUS_EXECUTORS"]


def test_no_service_administers_the_hub(c: Config) -> None:
    assert not any(service.get("admin") for service in services(c).values())
    for role in c.JupyterHub.load_roles:
        assert not any(scope.startswith("admin") for scope in role["scopes"]), role["name"]


def test_a_workspace_inherits_no_credential_of_the_hub(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "canary")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/cert.pem")
    configuration = Config()
    local(configuration, place)
    kept = set(configuration.LocalWorkspaceSpawner.env_keep)
    assert not kept & {"AWS_SECRET_ACCESS_KEY", "CONFIGPROXY_AUTH_TOKEN"}
    assert {"PATH", "SSL_CERT_FILE"} <= kept
    assert "canary" not in repr(configuration)


def test_logins_are_checked_again_within_the_promised_time(c: Config) -> None:
    assert 0 < c.LocalAuthenticator.auth_refresh_age <= 30
    assert 0 < c.LocalWorkspaceSpawner.poll_interval <= 30
    assert c.LocalAuthenticator.manage_groups
    assert c.LocalAuthenticator.refresh_pre_spawn
    assert not c.LocalAuthenticator.get("allow_all")


@pytest.mark.parametrize(
    ("allowed", "schemes"), [("", "file"), ("https://git.example.org/team/ https://other.example.org/", "file,https")]
)
def test_the_control_plane_admits_the_repositories_that_the_executor_may_fetch(
    place: Installation, monkeypatch: pytest.MonkeyPatch, allowed: str, schemes: str
) -> None:
    monkeypatch.setenv("ANIMUS_EXECUTOR_REPOSITORIES", allowed)
    configuration = Config()
    local(configuration, place)
    found = services(configuration)
    given = found["animus-executor"]["environment"]["ANIMUS_EXECUTOR_REPOSITORIES"]
    assert given.split() == [place.repositories.as_uri() + "/", *allowed.split()]
    assert found["animus"]["environment"]["ANIMUS_REPOSITORY_SCHEMES"] == schemes
