# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The schema as the SQL of each engine; ``python -m tests.ports.schema_text`` rewrites the first migration.

Until the first release the first migration may be rewritten. After it a migration is history, and only a new one may
change the schema.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from animus_contracts.audit import GENESIS
from animus_control.storage import guards, migrations
from animus_control.storage.tables import SCHEMA

VERSIONS = Path(migrations.__path__[0]) / "versions"
DIALECTS: dict[str, Dialect] = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}
HEADER = "-- SPDX-FileCopyrightText: Animus Datalab contributors\n-- SPDX-License-Identifier: Apache-2.0\n"
FIRST_HEAD = f"INSERT INTO audit_head (id, sequence, hash) VALUES (1, 0, '{GENESIS}')"  # noqa: S608 - a constant


def schema_text(dialect: str) -> str:
    """Return all statements that make an empty database, with an empty line between them and none within."""
    tables = [
        str(CreateTable(table).compile(dialect=DIALECTS[dialect])).strip().replace("\t", "  ")
        for table in SCHEMA.sorted_tables
    ]
    indexes = [
        str(CreateIndex(index).compile(dialect=DIALECTS[dialect]))
        for table in SCHEMA.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    statements = [*tables, *indexes, FIRST_HEAD, *guards.statements(dialect)]
    lines = ["\n".join(line.rstrip() for line in each.strip().splitlines() if line.strip()) for each in statements]
    return "\n\n".join([HEADER.strip(), *lines]) + "\n"


def path(dialect: str) -> Path:
    """Return the file that holds the first migration."""
    return VERSIONS / f"0001_initial.{dialect}.sql"


def main() -> None:
    """Rewrite the first migration."""
    for dialect in DIALECTS:
        path(dialect).write_text(schema_text(dialect))


if __name__ == "__main__":
    main()
