# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that many tests share: ``database`` gives every test an empty database, once on each engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings

from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import build_engines, migrate, open_database
from tests.postgres_server import PostgresServer, find_binaries, running

TEMPLATE = "animus_template"
# A busy machine makes examples slow, not wrong.
settings.register_profile("animus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("noticing", settings.get_profile("animus"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("animus")
ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a template of the newest schema."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL server (looked for postgres and /usr/lib/postgresql/*/bin)")
    with running(binaries) as server:
        engines = build_engines(server.create(TEMPLATE))
        migrate(engines.writer)
        engines.writer.dispose()
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the newest schema, closed."""
    path = tmp_path_factory.mktemp("template") / "animus.db"
    engines = build_engines(f"sqlite:///{path}")
    migrate(engines.writer)
    engines.writer.dispose()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of an empty SQLite database with the newest schema."""
    path = tmp_path / "animus.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database with the newest schema."""
    name = f"test_{uuid4().hex}"
    yield postgres_server.create(name, template=TEMPLATE)
    postgres_server.drop(name)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, once on each engine."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[StoredDatabase]:
    """An open, empty database, once on each engine."""
    database = open_database(database_url)
    yield database
    database.close()
