# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How an operation is answered: status, headers, strictness."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx

from tests.api.conftest import PREFIX, key

Open = Callable[..., httpx.Client]


def a_name() -> str:
    return f"p{uuid4().hex[:12]}"


def test_a_created_project_is_found_at_its_location(client: Open) -> None:
    root, name = client("root"), a_name()
    created = root.post("/projects", json={"name": name}, headers=key())
    assert created.status_code == 201
    assert created.headers["Location"] == f"{PREFIX}api/v1/projects/{created.json()['project_id']}"
    assert root.get(str(created.url.join(created.headers["Location"]))).json() == created.json()
