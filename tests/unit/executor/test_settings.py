# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A wrong configuration is refused with the name of the variable, and the token is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from animus_contracts.executions import Capacity
from animus_executor import machine
from animus_executor.settings import Settings, SettingsError, read_settings


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    token = tmp_path / "token"
    token.write_text("ae_canary\n")
    token.chmod(0o600)
    return {
        "PATH": "/bin",
        "ANIMUS_EXECUTOR_CONTROL_PLANE": "http://127.0.0.1:1/services/animus/",
        "ANIMUS_EXECUTOR_NAME": "local",
        "ANIMUS_EXECUTOR_TOKEN_FILE": str(token),
        "ANIMUS_EXECUTOR_DATA": str(tmp_path / "data"),
    }


def test_defaults_and_given_values_make_the_settings(given: dict[str, str], tmp_path: Path) -> None:
    given |= {"ANIMUS_EXECUTOR_SLOTS": "3", "ANIMUS_EXECUTOR_REPOSITORIES": "https://a.example/x/ \n file:///srv"}
    assert read_settings(given) == Settings(
        control_plane="http://127.0.0.1:1/services/animus",
        name="local",
        token="ae_canary",
        data=tmp_path / "data",
        slots=3,
        repositories=("https://a.example/x/", "file:///srv"),
    )


def test_what_an_executor_offers_is_the_machines_unless_it_is_given(given: dict[str, str]) -> None:
    assert read_settings(given).capacity == Capacity(cpus=machine.cpus(), memory_mib=machine.memory_mib(), gpus=0)
    given |= {"ANIMUS_EXECUTOR_CPUS": "8", "ANIMUS_EXECUTOR_MEMORY_MIB": "512", "ANIMUS_EXECUTOR_GPUS": "2"}
    given |= {"ANIMUS_EXECUTOR_LABELS": "zone=eu, gpu=a100,", "ANIMUS_EXECUTOR_OFFLINE_SECONDS": "60"}
    given |= {"ANIMUS_EXECUTOR_LEAVES_RUNS": "1"}
    settings = read_settings(given)
    assert settings.capacity == Capacity(cpus=8.0, memory_mib=512, gpus=2)
    assert (settings.labels, settings.offline_seconds) == ({"zone": "eu", "gpu": "a100"}, 60)
    assert settings.leaves_runs


@pytest.mark.parametrize(
    "labels", ["zone", "zone=", "=eu", "zone=eu,zone=us", "zone=e u", "zone=eu;gpu=1", "zone=-eu", "zone=e/u"]
)
def test_labels_that_are_not_understood_are_refused(given: dict[str, str], labels: str) -> None:
    with pytest.raises(SettingsError, match="ANIMUS_EXECUTOR_LABELS must be key=value"):
        read_settings(given | {"ANIMUS_EXECUTOR_LABELS": labels})


def test_the_token_is_not_in_the_settings_representation(given: dict[str, str]) -> None:
    assert "canary" not in repr(read_settings(given))


@pytest.mark.parametrize("name", ["CONTROL_PLANE", "NAME", "TOKEN_FILE", "DATA"])
def test_a_missing_setting_is_named(given: dict[str, str], name: str) -> None:
    del given[f"ANIMUS_EXECUTOR_{name}"]
    with pytest.raises(SettingsError, match=f"ANIMUS_EXECUTOR_{name} is required"):
        read_settings(given)


WRONG = {
    "SLOT": "2",
    "FAILPOINTS": "before.executions.end=crash",
    "SLOTS": "0",
    "CACHE_MIB": "-1",
    "FETCH_SECONDS": "1.5",
    "ENVIRONMENTS": "\N{ARABIC-INDIC DIGIT FIVE}",
    "CPUS": "0",
    "GPUS": "-1",
    "OFFLINE_SECONDS": "0",
    "LEAVES_RUNS": "yes",
    "NAME": "Not A Slug",
    "CONTROL_PLANE": "ftp://x",
    "TOKEN_FILE": "/nonexistent",
    "TOKEN": "never in a variable",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_a_wrong_or_unknown_setting_is_named(given: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"ANIMUS_EXECUTOR_{name} "):
        read_settings(given | {f"ANIMUS_EXECUTOR_{name}": value})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_token_that_others_may_read_is_refused(given: dict[str, str], mode: int) -> None:
    Path(given["ANIMUS_EXECUTOR_TOKEN_FILE"]).chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_settings(given)


def test_an_empty_token_is_refused(given: dict[str, str]) -> None:
    Path(given["ANIMUS_EXECUTOR_TOKEN_FILE"]).write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        read_settings(given)
