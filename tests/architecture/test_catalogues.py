# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every audit action is emitted, every error code can be met, and no code is made up on the spot."""

from __future__ import annotations

from pathlib import Path

from animus_contracts.audit import Action
from animus_contracts.problems import CODES
from tests.architecture.catalogues import unknown_codes, unused_codes, unused_members
from tests.architecture.source_trees import THIS_PROJECT, planted

CONTROL = "animus_control"
PLANTED = "hub_extension/animus_control/planted.py"


def test_every_audit_action_is_emitted_somewhere() -> None:
    assert unused_members(THIS_PROJECT, "Action", Action.__members__, CONTROL) == []


def test_action_that_nothing_emits_is_noticed(tmp_path: Path) -> None:
    tree = planted(tmp_path, {PLANTED: "audit(Action.RUN_CREATED)"})

    assert unused_members(tree, "Action", ["RUN_CREATED", "RUN_REFUSED"], CONTROL) == [
        "Action.RUN_REFUSED is never used"
    ]


def test_every_error_code_is_raised_somewhere() -> None:
    assert unused_codes(THIS_PROJECT, CODES, CONTROL) == []


def test_code_that_nothing_raises_is_noticed(tmp_path: Path) -> None:
    tree = planted(tmp_path, {PLANTED: "raise MissingError('not_found')"})

    assert unused_codes(tree, ["forbidden", "not_found"], CONTROL) == ["forbidden: nothing raises it"]


def test_no_error_code_is_made_up() -> None:
    assert unknown_codes(THIS_PROJECT, CODES, CONTROL) == []


def test_made_up_error_code_is_noticed(tmp_path: Path) -> None:
    tree = planted(tmp_path, {PLANTED: "raise MissingError('not_there')\nraise errors.InvalidError('forbidden')"})

    assert len(unknown_codes(tree, CODES, CONTROL)) == 1
