# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A project in real processes to which everything wrong is sent, and what every refusal must keep.

A refusal is told with its code, names what was wrong and where, and creates no run; a command shows it as one line. No
run that was acknowledged disappears, and the audit chain stays whole.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from animus.api import pages
from animus.client import Client
from animus_contracts.audit import first_fault
from animus_contracts.datasets import DatasetVersion
from animus_contracts.decoding import decode_json
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.environments import EnvironmentLock
from animus_contracts.pages import ListQuery
from animus_contracts.parameter_cells import read_parameters
from animus_contracts.problems import CODES, Problem
from animus_contracts.projects import Role
from animus_contracts.runs import TERMINAL_STATES, CodeRef, Failure, FailureReason, Run, RunState, SubmitRun
from tests.faults.plant import ADMIN, Plant, a_plant

PROJECT, FOREIGN, ARCHIVED = "wine", "spirits", "vinegar"
EDITOR, VIEWER, STRANGER = "ed", "vic", "eve"
NOTEBOOK, BARE = "train.ipynb", "bare.ipynb"
PARAMETERS = 'depth: int = 3\nrate: float = 0.1\nmax_tokens: int = 10\ntokenizer: str = "bpe"\napi_key: str = ""'
LOCK_TEXT = (Path(__file__).parents[1] / "faults" / "kernel-lock.txt").read_text()
IDENTITY = ("-c", "user.name=ed", "-c", "user.email=ed@example.test", "-c", "init.defaultBranch=main")


def notebook(parameters: str | None, *sources: str) -> str:
    """Write a notebook, with a parameters cell unless there are none."""
    cells = [] if parameters is None else [(parameters, ["parameters"])]
    cells += [(source, []) for source in sources]
    document = {
        "cells": [
            {
                "cell_type": "code", "id": f"cell-{number}", "metadata": {"tags": tags}, "outputs": [],
                "execution_count": None, "source": source,
            }
            for number, (source, tags) in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    return json.dumps(document)


@dataclass(slots=True)
class Repository:
    """A working copy whose commits the executor can fetch."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """Run git in the working copy."""
        command = ["git", *IDENTITY, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        """Write files and commit them."""
        if not self.folder.exists():
            self.folder.mkdir()
            self.git("init", "-q")
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "Change")
        return self.git("rev-parse", "HEAD")


@dataclass(slots=True)
class Works:
    """A running installation with a project, its members, code, an environment and data.

    Attributes:
        acknowledged: Ids of the runs that were promised to somebody.
    """

    plant: Plant
    repository: Repository
    commit: str
    lock: EnvironmentLock
    version: DatasetVersion
    clients: ExitStack
    acknowledged: set[str] = field(default_factory=set)

    def client(self, user: str = EDITOR) -> Client:
        """Return a client of the project that is closed at the end."""
        return self.clients.enter_context(self.plant.client(PROJECT, user=user))

    def submission(self, *, path: str = NOTEBOOK, commit: str = "", **changes: Any) -> SubmitRun:
        """Build a submission that is right but for the changes."""
        code = CodeRef(repository=self.repository.folder.as_uri(), commit=commit or self.commit, path=path)
        schema = read_parameters(json.loads(notebook(PARAMETERS))) if path == NOTEBOOK else []
        fields = {"code": code, "environment_lock_id": self.lock.lock_id, "parameters_schema": schema} | changes
        return SubmitRun(**fields)

    def call(
        self, operation: str, body: Any = b"", *, user: str = EDITOR, key: str = "", **path: str
    ) -> httpx.Response:
        """Call an operation as it is, without the client's own checks and patience."""
        endpoint = BY_OPERATION[operation]
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {self.plant.tokens[user]}", "Content-Type": str(endpoint.consumes)}
        url = self.plant.url + endpoint.url.format_map({"project": PROJECT} | path)
        return httpx.request(
            endpoint.method, url, content=content, headers=headers | {"Idempotency-Key": key or uuid4().hex}, timeout=30
        )

    def submit(self, submission: SubmitRun, *, key: str = "") -> Run:
        """Submit what must be accepted."""
        answer = self.call("runs.submit", submission, key=key)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        run = decode_json(answer.content, Run)
        self.acknowledged.add(run.run_id)
        return run

    def ended(self, run: Run, *, seconds: float = 60) -> Run:
        """Wait for a run's end."""
        client, deadline = self.client(), time.monotonic() + seconds
        while (now := client.runs.read(run.run_id)).state not in TERMINAL_STATES:
            assert time.monotonic() < deadline, f"still {now.state} after {seconds} s"
            time.sleep(0.1)
        return now

    def failure(self, submission: SubmitRun) -> Failure:
        """Submit what is accepted and cannot succeed; return why it failed."""
        run = self.ended(self.submit(submission))
        assert run.state is RunState.FAILED
        assert run.failure is not None
        return run.failure

    def run_ids(self) -> list[str]:
        """Return every run of the project."""
        return [run.run_id for run in self.client(ADMIN).runs.list()]

    def animus(self, *words: str, user: str = EDITOR, url: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the working copy."""
        token = self.plant.folder / f"token-{user}"
        token.write_text(self.plant.tokens[user])
        home = self.plant.folder / f"home-{user}"
        variables = {
            "ANIMUS_URL": url or self.plant.url, "ANIMUS_TOKEN_FILE": str(token), "ANIMUS_PROJECT": PROJECT,
            "HOME": str(home), "PATH": "/usr/bin:/bin",
        }  # fmt: skip
        command = [sys.executable, "-m", "animus", *words]
        cwd = self.repository.folder
        return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=60, check=False)

    def check_nothing_is_lost(self) -> None:
        """Every acknowledged run is there, no other one is, and the audit chain is whole."""
        assert set(self.run_ids()) == self.acknowledged
        with self.plant.client() as client:
            assert first_fault(list(pages(client.transport, "audit_chain.read", ListQuery()))) is None


def refused(answer: httpx.Response, code: str, *words: str) -> Problem:
    """Check that an answer is a problem with this code that says these words; return it."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = decode_json(answer.content, Problem)
    assert (problem.code, problem.status) == (code, CODES[code].status), answer.text
    assert answer.status_code == problem.status
    assert problem.request_id == answer.headers["X-Request-Id"]
    for word in words:
        assert word in problem.detail + problem.remedy + "".join(f"{e.path} {e.message}" for e in problem.errors), (
            answer.text
        )
    return problem


def truthful(failure: Failure, reason: FailureReason, *words: str) -> None:
    """Check that a failure has this reason, says these words, and what to do."""
    assert failure.reason is reason, failure
    assert failure.remedy, failure
    for word in words:
        assert word in failure.summary + failure.detail, failure


def one_line(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """Check that a command ended with this status and said why in one line, with these words."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("animus: "), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@contextmanager
def the_works(folder: Path, **plant_options: Any) -> Iterator[Works]:
    """Run an installation with one project of everything, and a foreign and an archived one."""
    with a_plant(folder, users=(EDITOR, VIEWER, STRANGER), **plant_options) as plant, ExitStack() as clients:
        with plant.client() as admin:
            for name in (PROJECT, FOREIGN, ARCHIVED):
                admin.projects.create(name)
                admin.in_project(name).members.add(STRANGER if name == FOREIGN else EDITOR, Role.EDITOR)
            admin.in_project(PROJECT).members.add(VIEWER, Role.VIEWER)
            admin.in_project(ARCHIVED).projects.archive()
        repository = Repository(plant.repositories / PROJECT)
        commit = repository.commit({NOTEBOOK: notebook(PARAMETERS, "print(depth)"), BARE: notebook(None, "print(1)")})
        data = folder / "wine.csv"
        data.write_text("alcohol,class\n13.2,1\n")
        with plant.client(PROJECT, user=EDITOR) as client:
            environment = client.environments.define("kernel", python="3.11", requirements=["ipykernel"])
            lock = client.environments.lock(environment, LOCK_TEXT)
            version = client.datasets.add("wine", [data])
        yield Works(plant, repository, commit, lock, version, clients)
