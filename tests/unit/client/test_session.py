# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where address, token and project come from, and who may read what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from animus import session as sessions
from animus.cli import main
from animus.client import Client
from animus.errors import AnimusError, UsageError
from animus.session import Saved, Session, find, load, save


@pytest.fixture
def variables(home: Path) -> dict[str, str]:
    return {"HOME": str(home)}


def test_a_saved_login_is_for_its_owner_only_and_used_for_its_address_only(variables: dict[str, str]) -> None:
    path = save(variables, Saved(url="https://a.example.org", token="secret", project="wine"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert find(variables) == Session(url="https://a.example.org", token="secret", project="wine")
    with pytest.raises(UsageError, match="no token"):
        find(variables | {"ANIMUS_URL": "https://evil.example.org"})


def test_saving_again_narrows_the_mode_of_a_file_that_was_open_to_others(variables: dict[str, str]) -> None:
    path = save(variables, Saved(url="https://a.example.org"))
    path.chmod(0o644)
    save(variables, Saved(url="https://a.example.org", token="secret"))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("more", "token"),
    [
        ({"JUPYTERHUB_API_TOKEN": "hub"}, "hub"),
        ({"JUPYTERHUB_API_TOKEN": "hub", "ANIMUS_TOKEN_FILE": "FILE"}, "file"),
        ({}, "saved"),
    ],
    ids=["the Hub's variable", "a file wins over variables", "the saved login comes last"],
)
def test_tokens_have_an_order(variables: dict[str, str], tmp_path: Path, more: dict[str, str], token: str) -> None:
    save(variables, Saved(url="http://a", token="saved"))
    (tmp_path / "token").write_text("file\n")
    more = {name: str(tmp_path / "token") if value == "FILE" else value for name, value in more.items()}
    assert find(variables | more).token == token


def test_the_project_that_is_named_wins_over_the_variable_and_that_over_the_saved_one(
    variables: dict[str, str],
) -> None:
    save(variables, Saved(url="http://a", token="t", project="saved"))
    assert find(variables).project == "saved"
    assert find(variables | {"ANIMUS_PROJECT": "variable"}).project == "variable"
    assert find(variables | {"ANIMUS_PROJECT": "variable"}, project="named").project == "named"


@pytest.mark.parametrize("url", ["", "ftp://a", "file:///etc", "localhost:8000"])
def test_an_address_that_is_none_is_refused(variables: dict[str, str], url: str) -> None:
    with pytest.raises(UsageError):
        find(variables | {"ANIMUS_URL": url, "JUPYTERHUB_API_TOKEN": "t"})


def test_a_broken_login_file_is_one_line_and_its_content_is_not_told(variables: dict[str, str]) -> None:
    path = save(variables, Saved(url="http://a", token="secret"))
    path.write_text('{"url": "http://a", "token": secret}')
    with pytest.raises(UsageError, match="cannot be read") as caught:
        load(variables)
    assert "secret" not in str(caught.value)


def test_a_missing_token_file_is_told_without_reading_anything_else(variables: dict[str, str]) -> None:
    with pytest.raises(AnimusError, match="bad_token_file"):
        find(variables | {"ANIMUS_URL": "http://a", "ANIMUS_TOKEN_FILE": "/nowhere", "JUPYTERHUB_API_TOKEN": "t"})


def test_in_a_workspace_a_page_is_a_path_and_elsewhere_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(url="http://127.0.0.1:8000/services/animus", token="t")
    assert session.page_of("p", "r") == "http://127.0.0.1:8000/services/animus/projects/p/runs/r"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/p/")
    assert session.page_of("p", "r") == "/services/animus/projects/p/runs/r"


def test_login_checks_the_token_keeps_it_and_later_commands_use_it(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str], variables: dict[str, str]
) -> None:
    token = tmp_path / "token"
    token.write_text("wrong\n")
    assert main(["login", client.session.url, "--token-file", str(token)]) == 3
    assert load(variables) == Saved()
    token.write_text("ann\n")
    assert main(["login", client.session.url, "--token-file", str(token)]) == 0
    assert main(["project", "use", client.project]) == 0
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "nothing\n"
    assert sessions.load(variables) == Saved(url=client.session.url, token="ann", project=client.project)
