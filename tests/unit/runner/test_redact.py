# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Credentials do not leave with a run's outputs, and nothing else is taken away."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.digests import digest_bytes
from animus_runner.redact import REDACTED, Redactor

TOKEN = "ar_Jw7-canary_0123456789abcdefABCDEF"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor([digest_bytes(TOKEN.encode())])


LEAKS = [
    TOKEN,
    f"Authorization: {TOKEN}",
    f'{{"run":"{TOKEN}"}}',
    f"x={TOKEN};y",
    "AKIAABCDEFGHIJKLMNOP",
    "token = abcdefghijkl",
    "https://ann:hunter2@git.example.org/x",
    "-----BEGIN PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_credential_is_taken_out_and_counted(redactor: Redactor, text: str) -> None:
    clean = redactor.text(f"before {text} after")
    assert TOKEN not in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert REDACTED in clean
    assert redactor.count == 1


@pytest.mark.parametrize("text", ["", "accuracy 0.97", "max_tokens=512", "sha256:" + "a" * 64, "the tokenizer"])
def test_other_text_stays_as_it_is(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text
    assert redactor.count == 0


def test_every_kind_of_output_is_cleaned_and_sources_and_images_stay(redactor: Redactor) -> None:
    half, rest = TOKEN[:9], TOKEN[9:]
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stdout", "text": [f"a {half}", f"{rest} b\n", "c"]},
        {"output_type": "stream", "name": "stderr", "text": TOKEN},
        {"output_type": "error", "ename": "E", "evalue": TOKEN, "traceback": ["first", f"{TOKEN}!"]},
        {"output_type": "display_data", "data": {"text/html": f"<b>{TOKEN}</b>", "image/png": TOKEN}, "metadata": {}},
        {"output_type": "execute_result", "data": {"application/json": {"deep": [TOKEN, 1]}}, "metadata": {}},
    ]
    cell = {"cell_type": "code", "source": f"x = '{TOKEN}'", "outputs": outputs}
    clean = redactor.notebook({"cells": [cell, {"cell_type": "markdown", "source": "m"}], "nbformat": 4})
    assert clean["nbformat"] == 4
    assert clean["cells"][1] == {"cell_type": "markdown", "source": "m"}
    assert clean["cells"][0]["source"] == cell["source"]
    assert clean["cells"][0]["outputs"] == [
        {"output_type": "stream", "name": "stdout", "text": [f"a {REDACTED} b\n", "c"]},
        {"output_type": "stream", "name": "stderr", "text": REDACTED},
        {"output_type": "error", "ename": "E", "evalue": REDACTED, "traceback": ["first", f"{REDACTED}!"]},
        {
            "output_type": "display_data",
            "data": {"text/html": f"<b>{REDACTED}</b>", "image/png": TOKEN},
            "metadata": {},
        },
        {"output_type": "execute_result", "data": {"application/json": {"deep": [REDACTED, 1]}}, "metadata": {}},
    ]
    assert redactor.count == 6
