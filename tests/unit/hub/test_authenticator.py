# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A login gives the groups of this moment; nobody unknown gets in; no old answer gives a right."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from animus_contracts.projects import Role
from animus_hub.authenticator import LocalAuthenticator
from animus_hub.users import UsersFile
from tests.fakes.memberships import MembershipServer, membership_server


@pytest.fixture(name="plane")
def _plane() -> Iterator[MembershipServer]:
    with membership_server() as plane:
        plane.roles = {"ed": {"demo": Role.EDITOR}}
        yield plane


@pytest.fixture(name="login")
def _login(tmp_path: Path, plane: MembershipServer) -> LocalAuthenticator:
    UsersFile(tmp_path / "users.json").put("ed", "secret")
    (tmp_path / "token").write_text("hub-token")
    return LocalAuthenticator(
        users_file=str(tmp_path / "users.json"),
        control_plane_url=plane.url,
        control_plane_token_file=str(tmp_path / "token"),
        manage_groups=True,
    )


def test_the_right_password_gives_name_and_groups(login: LocalAuthenticator, plane: MembershipServer) -> None:
    found = asyncio.run(login.authenticate(None, {"username": "ed", "password": "secret"}))
    assert found == {"name": "ed", "admin": False, "groups": ["animus:demo:editor"]}
    assert plane.seen == [("/api/v1/subjects/ed/memberships", "Bearer hub-token")]


@pytest.mark.parametrize(
    "form",
    [
        {"username": "ed", "password": "wrong"},
        {"username": "Ed", "password": "secret"},
        {"username": "eve", "password": "secret"},
        {"username": "e" * 1_000_000, "password": "secret"},
        {"username": "ed", "password": "s" * 1_000_000},
        {"username": "ed"},
        {},
    ],
    ids=["wrong password", "other spelling", "unknown", "huge name", "huge password", "no password", "nothing"],
)
def test_anything_else_gives_nothing_and_asks_nobody(
    login: LocalAuthenticator, plane: MembershipServer, form: dict[str, str]
) -> None:
    assert asyncio.run(login.authenticate(None, form)) is None
    assert plane.seen == []


def test_a_removed_member_has_no_group_at_the_next_refresh(login: LocalAuthenticator, plane: MembershipServer) -> None:
    plane.roles = {}
    assert asyncio.run(login.refresh_user(SimpleNamespace(name="ed"))) == {"name": "ed", "admin": False, "groups": []}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b"{}"),
        (200, b"<html>"),
        (200, b'{"items": [{"project_id": "x", "project": "demo", "role": "owner"}], "next_cursor": null}'),
        (302, b""),
    ],
    ids=["unavailable", "not JSON", "unknown role", "redirect"],
)
def test_an_answer_that_is_none_gives_no_groups(
    login: LocalAuthenticator, plane: MembershipServer, status: int, body: bytes
) -> None:
    plane.status, plane.body = status, body
    refreshed = asyncio.run(login.refresh_user(SimpleNamespace(name="ed")))
    assert refreshed == {"name": "ed", "admin": False, "groups": []}


def test_an_account_that_is_gone_must_log_in_again(login: LocalAuthenticator) -> None:
    assert asyncio.run(login.refresh_user(SimpleNamespace(name="bob"))) is False


def test_only_accounts_are_admitted(login: LocalAuthenticator) -> None:
    assert login.check_allowed("ed", {"name": "ed"})
    assert not login.check_allowed("ed")
    assert not login.check_allowed("eve", {"name": "eve"})


def test_names_are_not_folded_into_each_other(login: LocalAuthenticator) -> None:
    assert login.normalize_username("Ed") == "Ed"
    assert not login.validate_username("Ed")
