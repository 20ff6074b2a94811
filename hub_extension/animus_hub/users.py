# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Local accounts: a file of names and scrypt hashes, never of passwords.

A user name has one canonical form; anything that is not already in it is nobody's name. An unknown name costs as much
time as a wrong password, so that names cannot be told by the clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

USER_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
MAX_PASSWORD_LENGTH = 256
# Work factors recommended by OWASP for scrypt (2^17, 8, 1 needs 128 MiB; 2^15 with p=3 is its equal with 32 MiB).
SCRYPT = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 * 1024 * 1024, "dklen": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is kept of a user: base64 of salt and scrypt hash, and whether they administer the platform."""

    salt: str
    hash: str
    admin: bool = False


_NOBODY = Account(salt=base64.b64encode(bytes(16)).decode(), hash=base64.b64encode(bytes(32)).decode())


def is_user_name(name: str) -> bool:
    """Say whether a name is in the canonical form: at most 32 of ``a-z 0-9 -``, beginning with a letter."""
    return USER_NAME.fullmatch(name) is not None


def generate_password() -> str:
    """Return a password of about 95 random bits that can be typed from a screen."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


class UsersFile:
    """The file of accounts; it is read at each use, so a change is effective at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def accounts(self) -> dict[str, Account]:
        """Return all accounts by user name."""
        try:
            rows = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return {name: Account(**row) for name, row in rows.items()}

    def put(self, name: str, password: str, *, admin: bool = False) -> None:
        """Add an account or replace its password.

        Raises:
            ValueError: If the name is not canonical or the password is empty or too long.
        """
        if not is_user_name(name):
            raise ValueError(f"{name[:64]!r} is not a user name: use at most 32 of a-z, 0-9 and -, a letter first")
        if not 0 < len(password) <= MAX_PASSWORD_LENGTH:
            raise ValueError(f"a password has 1 to {MAX_PASSWORD_LENGTH} characters")
        salt = os.urandom(16)
        row = Account(
            salt=base64.b64encode(salt).decode(),
            hash=base64.b64encode(_scrypt(password, salt)).decode(),
            admin=admin,
        )
        self._write(self.accounts() | {name: row})

    def verify(self, name: str, password: str) -> Account | None:
        """Return the account when the password is right, None otherwise."""
        known = self.accounts().get(name) if is_user_name(name) else None
        account = known or _NOBODY
        computed = _scrypt(password[:MAX_PASSWORD_LENGTH], base64.b64decode(account.salt))
        is_right = hmac.compare_digest(computed, base64.b64decode(account.hash))
        return known if is_right and len(password) <= MAX_PASSWORD_LENGTH else None

    def _write(self, accounts: dict[str, Account]) -> None:
        temporary = self._path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump({name: asdict(account) for name, account in accounts.items()}, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **SCRYPT)
