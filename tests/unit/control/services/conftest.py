# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``desk`` stands before an empty SQLite database, ``any_desk`` before each engine in turn, for the way of a run.

``at_noon`` sets the clock of whichever a test asks for.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import open_database
from tests.unit.control.services.desk import Desk
from tests.unit.control.services.timetable import NOON


@pytest.fixture
def desk(sqlite_url: str) -> Iterator[Desk]:
    """A desk before an empty SQLite database."""
    database = open_database(sqlite_url)
    yield Desk(database)
    database.close()


@pytest.fixture
def any_desk(database: StoredDatabase) -> Desk:
    """A desk before an empty database, once on each engine."""
    return Desk(database)


@pytest.fixture
def at_noon(request: pytest.FixtureRequest) -> None:
    """Make it noon at the desk of the test, whichever it asks for."""
    desk: Desk = request.getfixturevalue("any_desk" if "any_desk" in request.fixturenames else "desk")
    desk.now = NOON
