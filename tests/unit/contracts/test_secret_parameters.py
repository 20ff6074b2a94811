# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What looks like a credential is refused by a named rule; what only sounds like one is not.

The examples are put together at run time, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.parameters import SECRET_VALUES, secret_rule

DASHES = "-" * 5
CREDENTIALS: list[tuple[str, Any, str]] = [
    *((name, "hunter22", "credential_name") for name in (
        "password", "PASSWORD", "db_password", "passwd", "secret", "client_secret", "token", "api_key", "apikey",
        "access_token", "auth_token", "refresh_token", "session_token", "private_key", "access_key", "credentials",
    )),
    ("key_id", "AKIA" + "A" * 16, "aws_access_key_id"),
    ("key_id", "ASIA" + "0" * 16, "aws_access_key_id"),
    ("header", "Bearer " + "a1" * 12, "bearer_token"),
    ("header", "Authorization: bearer " + "a1" * 12, "bearer_token"),
    ("dsn", "host=db user=a password=" + "correcthorse", "credential_assignment"),
    ("dsn", "api-key: " + "abcdef123", "credential_assignment"),
    ("claim", ".".join(["eyJ" + "a" * 10, "eyJ" + "b" * 10, "c" * 10]), "json_web_token"),
    ("pem", f"{DASHES}BEGIN RSA PRIVATE KEY{DASHES}\nMII", "private_key"),
    ("pem", f"{DASHES}BEGIN PRIVATE KEY{DASHES}", "private_key"),
    ("url", "postgresql://ann:" + "pw123" + "@db/x", "url_with_password"),
    ("value", "gh" + "p_" + "a" * 36, "vendor_token"),
    ("value", "glpat" + "-" + "a" * 20, "vendor_token"),
    ("value", "xox" + "b-" + "1" * 12, "vendor_token"),
    ("value", "hf" + "_" + "a" * 34, "vendor_token"),
    ("value", "sk" + "-" + "a" * 40, "vendor_token"),
    ("config", {"db": {"password": "hunter22"}}, "credential_name"),
    ("values", ["a", ["b", "AKIA" + "A" * 16]], "aws_access_key_id"),
    ("config", {"list": [{"api_key": "k"}]}, "credential_name"),
]  # fmt: skip
HARMLESS: list[tuple[str, Any]] = [
    ("max_tokens", 512), ("max_tokens", "512"), ("tokenizer", "bpe"), ("tokenizer_name", "bert"), ("n_tokens", 3),
    ("token_limit", "4096"), ("pad_token_id", 0), ("secretary", "ann"), ("password_policy", "strict"),
    ("key", "name"), ("primary_key", "id"), ("api", "v1"), ("text", "the token economy"), ("text", "a secret garden"),
    ("url", "https://example.org/a:b@c"), ("url", "s3://bucket/key"), ("path", "data/passwords.csv"),
    ("column", "password_reset_at"), ("bearer", "of news"), ("password", ""), ("token", 5), ("token", None),
    ("model", "sk-learn-classifier"),
    ("text", "AKIA is a prefix"), ("text", "eyJ is how they start"), ("key", "x" * 64), ("digest", "a" * 64),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "rule"), CREDENTIALS)
def test_credential_is_named_by_its_rule(name: str, value: Any, rule: str) -> None:
    assert secret_rule(name, value) == rule


@pytest.mark.parametrize(("name", "value"), HARMLESS)
def test_harmless_parameter_is_left_alone(name: str, value: Any) -> None:
    assert secret_rule(name, value) is None


def test_every_rule_has_an_example() -> None:
    assert {rule for _, _, rule in CREDENTIALS} == {*SECRET_VALUES, "credential_name"}
