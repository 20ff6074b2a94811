# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Mistakes of ours stop at once instead of reaching a caller."""

from __future__ import annotations

import pytest

from animus_control.domain.errors import AnimusError
from animus_control.services import catalogue
from animus_control.services.operations import operation
from animus_control.services.scope import project_of
from tests.unit.control.services.desk import ADA, Desk


def test_error_outside_the_catalogue_cannot_be_raised() -> None:
    with pytest.raises(RuntimeError, match="catalogue"):
        AnimusError("no_such_code")


@pytest.mark.parametrize("name", ["runs.fly", "runs.submit"])
def test_operation_is_registered_once_and_only_if_the_table_has_it(name: str) -> None:
    assert "runs.submit" in catalogue.OPERATIONS

    with pytest.raises(RuntimeError, match=name):
        operation(name)


def test_operation_in_a_project_is_not_entered_without_one(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="needs a project"):
        project_of(desk.call(ADA))
