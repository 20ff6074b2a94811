# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The first schema."""

from __future__ import annotations

from alembic import op
from sqlalchemy import insert

from animus_contracts.audit import GENESIS
from animus_control.storage import guards
from animus_control.storage.tables import METADATA, audit_head

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    connection = op.get_bind()
    METADATA.create_all(connection)
    connection.execute(insert(audit_head), {"id": 1, "sequence": 0, "hash": GENESIS})
    for statement in guards.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
