# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A workspace starts for members only, and its token never does more than its user."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub.spawner import SpawnException

from animus_hub.spawner import SERVER_SCOPES, LocalWorkspaceSpawner, workspace_scopes


class Workspace(LocalWorkspaceSpawner):
    """A workspace whose server's name is given, as the Hub gives it."""

    name = "demo"


def a_workspace(tmp_path: Path, *groups: str, name: str = "demo") -> LocalWorkspaceSpawner:
    user = SimpleNamespace(name="ed", groups=[SimpleNamespace(name=group) for group in groups])
    spawner = Workspace(workspaces=str(tmp_path))
    spawner.user = user
    spawner.name = name
    return spawner


@pytest.mark.parametrize(
    ("groups", "name", "message"),
    [
        (["animus:demo:editor"], "", "belongs to a project"),
        (["animus:demo:editor"], "../../etc", "belongs to a project"),
        (["animus:other:admin"], "demo", "not a member of the project 'demo'"),
        ([], "demo", "not a member of the project 'demo'"),
    ],
    ids=["no project", "no project's name", "another project's member", "nobody's member"],
)
def test_a_workspace_does_not_start_without_a_role_in_its_project(
    tmp_path: Path, groups: list[str], name: str, message: str
) -> None:
    with pytest.raises(SpawnException, match=message):
        asyncio.run(a_workspace(tmp_path, *groups, name=name).start())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("groups", "scope"),
    [
        (["animus:demo:viewer"], ["custom:animus:project:viewer!group=animus:demo:viewer"]),
        (["animus:demo:admin"], ["custom:animus:project:editor!group=animus:demo:admin"]),
        (["animus:other:admin"], []),
        ([], []),
    ],
)
def test_its_token_is_bound_to_the_project_and_the_role(tmp_path: Path, groups: list[str], scope: list[str]) -> None:
    assert workspace_scopes(a_workspace(tmp_path, *groups)) == [*SERVER_SCOPES, *scope]


def test_each_project_of_a_user_has_a_home_of_its_own(tmp_path: Path) -> None:
    homes = {a_workspace(tmp_path, name=name).folder for name in ("demo", "wine")}
    assert homes == {tmp_path / "ed" / "demo", tmp_path / "ed" / "wine"}
