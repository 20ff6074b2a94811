# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Groups mirror roles and nothing but roles; scopes never go beyond them."""

import itertools

import pytest

from animus_contracts.identifiers import ProjectId
from animus_contracts.projects import Membership, Role
from animus_hub.groups import (
    CUSTOM_SCOPES,
    ROLES,
    group_name,
    group_names,
    role_in,
    roles_by_project,
    workspace_scope,
)


def test_every_role_has_a_scope_that_includes_the_scopes_of_the_roles_below() -> None:
    assert CUSTOM_SCOPES == {
        "custom:animus:project:viewer": {"description": "Act in Animus projects, at most as viewer"},
        "custom:animus:project:editor": {
            "description": "Act in Animus projects, at most as editor",
            "subscopes": ["custom:animus:project:viewer"],
        },
        "custom:animus:project:admin": {
            "description": "Act in Animus projects, at most as admin",
            "subscopes": ["custom:animus:project:viewer", "custom:animus:project:editor"],
        },
    }
    assert set(ROLES) == set(Role)


def test_memberships_become_sorted_groups() -> None:
    memberships = [
        Membership(project_id=ProjectId("2"), project="wine", role=Role.ADMIN),
        Membership(project_id=ProjectId("1"), project="demo", role=Role.VIEWER),
    ]
    assert group_names(memberships) == ["animus:demo:viewer", "animus:wine:admin"]


@pytest.mark.parametrize(
    ("held", "greatest"),
    [
        (held, max(held, key=ROLES.index, default=None))
        for size in range(len(ROLES) + 1)
        for held in itertools.combinations(ROLES, size)
    ],
)
def test_the_greatest_of_the_mirrored_roles_counts(held: tuple[Role, ...], greatest: Role | None) -> None:
    assert role_in("demo", [group_name("demo", role) for role in held]) is greatest


@pytest.mark.parametrize(
    "group",
    [
        "demo:admin",
        "animus:demo:owner",
        "animus:demo-2:admin",
        "animus:demo:admin:",
        "Animus:demo:admin",
        "animus:demo",
        "animus::admin",
        "xanimus:demo:admin",
        "",
    ],
)
def test_no_other_group_gives_a_role(group: str) -> None:
    assert role_in("demo", [group]) is None
    assert "demo" not in roles_by_project([group])


def test_projects_are_listed_with_the_greatest_role() -> None:
    groups = ["animus:wine:viewer", "animus:demo:viewer", "animus:demo:editor", "staff", "animus:../x:admin"]
    assert roles_by_project(groups) == {"demo": Role.EDITOR, "wine": Role.VIEWER}


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        (Role.VIEWER, "custom:animus:project:viewer!group=animus:demo:viewer"),
        (Role.EDITOR, "custom:animus:project:editor!group=animus:demo:editor"),
        (Role.ADMIN, "custom:animus:project:editor!group=animus:demo:admin"),
    ],
)
def test_a_workspace_gets_at_most_editor_and_never_more_than_its_user(role: Role, scope: str) -> None:
    assert workspace_scope("demo", role) == scope
