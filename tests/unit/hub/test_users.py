# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Passwords are not kept, names have one spelling, and wrong ones are nobody's."""

from pathlib import Path

import pytest

from animus_hub.users import MAX_PASSWORD_LENGTH, UsersFile, generate_password, is_user_name


@pytest.fixture(name="users")
def _users(tmp_path: Path) -> UsersFile:
    users = UsersFile(tmp_path / "users.json")
    users.put("ann", "correct horse", admin=True)
    return users


def test_the_right_password_opens_the_account(users: UsersFile) -> None:
    account = users.verify("ann", "correct horse")
    assert account is not None
    assert account.admin


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong horse"),
        ("ann", ""),
        ("Ann", "correct horse"),
        ("ann ", "correct horse"),
        ("аnn", "correct horse"),  # the first letter is Cyrillic
        ("bob", "correct horse"),
        ("", ""),
        ("ann", "correct horse" + "x" * MAX_PASSWORD_LENGTH),
        ("a" * 100_000, "correct horse"),
    ],
    ids=["wrong", "empty", "capital", "space", "confusable", "unknown", "nothing", "too long", "huge name"],
)
def test_nothing_else_opens_it(users: UsersFile, name: str, password: str) -> None:
    assert users.verify(name, password) is None


def test_a_long_password_is_not_the_same_as_its_beginning(users: UsersFile) -> None:
    users.put("bob", "y" * MAX_PASSWORD_LENGTH)
    assert users.verify("bob", "y" * MAX_PASSWORD_LENGTH + "y") is None


def test_the_file_holds_no_password_and_only_its_owner_may_read_it(users: UsersFile, tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    assert b"correct horse" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert users.accounts().keys() == {"ann"}


def test_equal_passwords_have_different_hashes(users: UsersFile) -> None:
    users.put("bob", "correct horse")
    ann, bob = users.accounts()["ann"], users.accounts()["bob"]
    assert ann.hash != bob.hash


def test_a_new_password_ends_the_old_one_at_once(users: UsersFile) -> None:
    users.put("ann", "another")
    assert users.verify("ann", "correct horse") is None
    assert users.verify("ann", "another") is not None


@pytest.mark.parametrize("name", ["", "Ann", "../x", "a/b", "a b", "1a", "a_b", "a" * 33, "ann\n", "-a"])
def test_a_name_that_is_not_canonical_gets_no_account(users: UsersFile, name: str) -> None:
    assert not is_user_name(name)
    with pytest.raises(ValueError, match="not a user name"):
        users.put(name, "x")


def test_without_a_file_there_is_nobody(tmp_path: Path) -> None:
    assert UsersFile(tmp_path / "none.json").verify("ann", "x") is None


def test_generated_passwords_differ() -> None:
    assert len({generate_password() for _ in range(100)}) == 100
