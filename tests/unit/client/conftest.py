# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The client's tests talk to the real control plane; only the Hub and the data plane are played."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from animus.client import Client
from animus.session import Session
from animus_contracts.projects import Role
from animus_control.storage.engine import open_database
from tests.api.conftest import EXECUTOR_TOKEN, Server, serve
from tests.fakes.puppet import Puppet

LOCKED = "ipykernel==7.1.0 \\\n    --hash=sha256:" + "a" * 64 + "\n"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running control plane."""
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('plane') / 'animus.db'}")
    with serve(database) as server:
        yield server
    database.close()


@pytest.fixture
def client(plane: Server) -> Iterator[Client]:
    """Ann's client in a new project of hers, in which Ed may edit and Vic may look; it has a locked environment."""
    name = f"p{uuid4().hex[:12]}"
    url = plane.url.rstrip("/")
    with Client(Session(url=url, token="root")) as root:
        root.projects.create(name)
        root.in_project(name).members.add("ann", Role.ADMIN)
    with Client(Session(url=url, token="ann", project=name)) as ann:
        ann.members.add("ed", Role.EDITOR)
        ann.members.add("vic", Role.VIEWER)
        environments = ann.environments
        environments.lock(environments.define("science", python="3.11", requirements=["ipykernel"]), LOCKED)
        yield ann


@pytest.fixture
def puppet(plane: Server) -> Iterator[Puppet]:
    """A data plane that plays what it is told to."""
    player = Puppet(plane.url, EXECUTOR_TOKEN)
    yield player
    player.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, and nothing of the tester's settings."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("ANIMUS_URL", "ANIMUS_TOKEN_FILE", "ANIMUS_PROJECT", "JUPYTERHUB_API_TOKEN", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return folder


@pytest.fixture
def desk(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The environment of a workspace: commands find the client's control plane, token and project."""
    monkeypatch.setenv("ANIMUS_URL", client.session.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", client.session.token)
    monkeypatch.setenv("ANIMUS_PROJECT", client.project)
    return client


def write_notebook(path: Path, *, parameters: str = "depth: int = 3", code: str = "print(depth)") -> Path:
    """Write a notebook with a parameters cell and one more."""
    cells = [
        {"cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "source": parameters,
         "outputs": [], "execution_count": None},
        {"cell_type": "code", "id": "c", "metadata": {}, "source": code, "outputs": [], "execution_count": None},
    ]  # fmt: skip
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def run_git(folder: Path, *arguments: str) -> str:
    """Run git in a folder as somebody."""
    person = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    command = ["git", "-C", str(folder), *person, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with a committed and pushed notebook ``train.ipynb``."""
    bare, work = tmp_path / "remote.git", tmp_path / "work"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(bare)], check=True)
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(work)], check=True)
    write_notebook(work / "train.ipynb")
    run_git(work, "remote", "add", "origin", bare.as_uri())
    run_git(work, "add", ".")
    run_git(work, "commit", "--quiet", "-m", "first")
    run_git(work, "push", "--quiet", "origin", "main:main")
    run_git(work, "fetch", "--quiet")
    return work


@pytest.fixture
def animus(desk: Client, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Type a command: gives exit code, output and error output."""
    from animus.cli import main  # noqa: PLC0415 - after the environment is set

    del desk

    def type_command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return type_command
