# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A setting is understood or the process does not start."""

from __future__ import annotations

import pytest

from animus_control.settings import Settings, SettingsError, read_settings

NEEDED = {
    "ANIMUS_DATABASE_URL": "postgresql://animus:canary@db/animus",
    "ANIMUS_OBJECTS_URL": "file:///data/objects",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
}
HASH = "0" * 64


def test_a_managed_service_is_configured_by_what_the_hub_passes() -> None:
    environment = NEEDED | {
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:8085/",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/animus/",
        "JUPYTERHUB_API_TOKEN": "canary",
        "JUPYTERHUB_CLIENT_ID": "service-animus",
        "ANIMUS_EXECUTORS": f"local=sha256:{HASH}, gpu=sha256:{'1' * 64}",
        "ANIMUS_PLATFORM_ADMINS": "service:animus-hub,user:root",
        "ANIMUS_REPOSITORY_SCHEMES": "https,file",
        "ANIMUS_APPROVAL_SECONDS": "3600",
        "ANIMUS_SCHEDULE_SECONDS": "900",
        "PATH": "/bin",
        "ANIMUS_URL": "a client's setting",
    }
    assert read_settings(environment) == Settings(
        database_url=NEEDED["ANIMUS_DATABASE_URL"],
        objects_url=NEEDED["ANIMUS_OBJECTS_URL"],
        host="127.0.0.1",
        port=8085,
        prefix="/services/animus/",
        hub_api_url=NEEDED["JUPYTERHUB_API_URL"],
        hub_api_token="canary",
        hub_client_id="service-animus",
        executors={"local": HASH, "gpu": "1" * 64},
        platform_admins=frozenset({"service:animus-hub", "user:root"}),
        repository_schemes=frozenset({"https", "file"}),
        approval_seconds=3600,
        schedule_seconds=900,
    )


def test_the_defaults_are_the_narrow_ones() -> None:
    settings = read_settings(NEEDED)
    assert (settings.host, settings.prefix, settings.executors, settings.platform_admins) == (
        "127.0.0.1", "/", {}, frozenset(),
    )  # fmt: skip
    assert settings.repository_schemes == {"https"}


def test_settings_show_no_secret() -> None:
    assert "canary" not in repr(read_settings(NEEDED | {"JUPYTERHUB_API_TOKEN": "canary"}))


WRONG = {
    "unknown": {"ANIMUS_DATABASE": "x"},
    "misspelt": {"ANIMUS_EXECUTOR": "x"},
    "no database": {"ANIMUS_DATABASE_URL": ""},
    "no objects": {"ANIMUS_OBJECTS_URL": ""},
    "no hub": {"JUPYTERHUB_API_URL": ""},
    "executor without hash": {"ANIMUS_EXECUTORS": "local=secret"},
    "executor with a short hash": {"ANIMUS_EXECUTORS": "local=sha256:00"},
    "executor twice": {"ANIMUS_EXECUTORS": f"a=sha256:{HASH},a=sha256:{HASH}"},
    "administrator without kind": {"ANIMUS_PLATFORM_ADMINS": "root"},
    "administrator of another kind": {"ANIMUS_PLATFORM_ADMINS": "group:everyone"},
    "scheme": {"ANIMUS_REPOSITORY_SCHEMES": "https,ext"},
    "listen without port": {"ANIMUS_LISTEN": "localhost"},
    "listen on no port": {"ANIMUS_LISTEN": "localhost:http"},
    "number": {"ANIMUS_MAX_OBJECT_BYTES": "1e9"},
    "fault without permission": {"ANIMUS_FAILPOINTS": "before_tx=crash"},
    "fault permitted by a word": {"ANIMUS_FAILPOINTS": "before_tx=crash", "ANIMUS_ALLOW_FAILPOINTS": "yes"},
    "fault nowhere": {"ANIMUS_FAILPOINTS": "before_lunch=crash", "ANIMUS_ALLOW_FAILPOINTS": "1"},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_a_setting_that_is_wrong_is_named_and_its_value_kept_quiet(changed: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings(NEEDED | changed)
    assert next(iter(changed)) in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_faults_are_injected_only_where_somebody_allows_it() -> None:
    allowed = {"ANIMUS_FAILPOINTS": "before_tx=crash@2,after.runs.submit=error", "ANIMUS_ALLOW_FAILPOINTS": "1"}
    assert [rule.point for rule in read_settings(NEEDED | allowed).failpoints] == ["before_tx", "after.runs.submit"]
    assert read_settings(NEEDED).failpoints == ()
