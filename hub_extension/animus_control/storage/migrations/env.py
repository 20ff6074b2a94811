# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Alembic runs this file; it migrates over the connection that ``engine.migrate`` hands it, in one transaction."""

from __future__ import annotations

from alembic import context

from animus_control.storage.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA,
    transactional_ddl=True,  # SQLite's DDL is transactional when BEGIN is ours
)
context.run_migrations()
