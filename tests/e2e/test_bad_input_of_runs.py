# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What only the data plane can notice ends the run truthfully, names what was wrong, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from animus.client import Client
from animus_contracts.datasets import DatasetVersion
from animus_contracts.runs import FailureReason, RunState
from tests.e2e.bad_input import (
    BARE,
    LOCK_TEXT,
    NOTEBOOK,
    PARAMETERS,
    Works,
    notebook,
    the_works,
    truthful,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

INPUT, ENVIRONMENT = FailureReason.INPUT, FailureReason.ENVIRONMENT
ROW = "alcohol,class\n13.2,"
# The first requirement's hashes, both of them, belong to no wheel there is.
FORGED = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, LOCK_TEXT, count=2)


@pytest.fixture(scope="module", name="works")
def _works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with the_works(tmp_path_factory.mktemp("runs")) as works:
        yield works


@pytest.fixture(autouse=True)
def _nothing_is_lost(works: Works) -> Iterator[None]:
    yield
    works.check_nothing_is_lost()


@pytest.fixture(name="client")
def _client(works: Works) -> Client:
    return works.client()


def test_a_commit_that_was_never_pushed_is_named(works: Works) -> None:
    failure = works.failure(works.submission(commit="0123456789" * 4))
    truthful(failure, INPUT, "0123456789" * 4, works.repository.folder.as_uri())
    assert "Push the commit" in failure.remedy


def test_a_notebook_that_is_not_in_the_commit_is_named(works: Works) -> None:
    truthful(works.failure(works.submission(path="missing.ipynb", parameters_schema=[])), INPUT, "missing.ipynb")


def test_a_notebook_without_a_parameters_cell_runs_when_it_is_given_none(works: Works) -> None:
    assert works.ended(works.submit(works.submission(path=BARE))).state is RunState.SUCCEEDED


def test_a_notebook_without_a_parameters_cell_takes_no_value_whatever_the_submission_claims(works: Works) -> None:
    claimed = works.submission().parameters_schema
    failure = works.failure(works.submission(path=BARE, parameters_schema=claimed, parameters={"depth": 4}))
    truthful(failure, INPUT, "declares other parameters than the submission did", "it declares: none")


def test_a_schema_that_is_not_the_one_at_the_commit_is_noticed(works: Works) -> None:
    commit = works.repository.commit({NOTEBOOK: notebook(PARAMETERS.replace("int = 3", "str = 'x'"), "print(depth)")})
    failure = works.failure(works.submission(commit=commit, parameters={"depth": 4}))
    truthful(failure, INPUT, "declares other parameters than the submission did", "depth")


def test_a_file_that_is_no_notebook_is_named(works: Works) -> None:
    commit = works.repository.commit({"broken.ipynb": '{"cells": ['})
    truthful(works.failure(works.submission(path="broken.ipynb", commit=commit)), INPUT, "broken.ipynb")


def a_version(client: Client, folder: Path, name: str) -> DatasetVersion:
    """Make a dataset with bytes of its own, which no executor has seen."""
    file = folder / f"{name}.csv"
    file.write_text(ROW + name)
    return client.datasets.add(name, [file])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("flipped", lambda stored: stored.write_bytes(stored.read_bytes().swapcase())),
        ("shorter", lambda stored: stored.write_bytes(stored.read_bytes()[:-3])),
        ("longer", lambda stored: stored.write_bytes(stored.read_bytes() + b"0")),
        ("gone", Path.unlink),
    ],
)
def test_bytes_of_a_dataset_that_changed_in_the_store_are_never_computed_with(
    works: Works, client: Client, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    version = a_version(client, tmp_path, name)
    digest = version.files[0].digest.removeprefix("sha256:")
    damage(works.plant.objects / "sha256" / digest[:2] / digest[2:])
    failure = works.failure(works.submission(datasets={"train": version.version_id}))
    truthful(failure, INPUT, "'train'", f"{name}.csv")
    assert "new version" in failure.remedy


def environments(works: Works) -> set[Path]:
    """Return the realised environments of the executor."""
    return {path.parent for path in (works.plant.folder / "executor" / "environments").glob("*/pyvenv.cfg")}


def test_a_changed_environment_is_noticed_and_built_anew(works: Works) -> None:
    assert works.ended(works.submit(works.submission())).state is RunState.SUCCEEDED
    [changed] = environments(works)
    module = next(changed.glob("lib/python*/site-packages/comm/__init__.py"))
    module.chmod(0o644)
    module.write_text("raise SystemExit('this was never locked')\n")
    assert works.ended(works.submit(works.submission())).state is RunState.SUCCEEDED
    assert "is not what was built: it is built anew" in (works.plant.folder / "executor.log").read_text()
    assert environments(works) - {changed}


def test_a_lock_whose_hashes_are_of_other_bytes_installs_nothing(works: Works, client: Client) -> None:
    before = environments(works)
    environment = client.environments.define("forged", python="3.11", requirements=["ipykernel"])
    lock = client.environments.lock(environment, FORGED)
    failure = works.failure(works.submission(environment_lock_id=lock.lock_id))
    truthful(failure, ENVIRONMENT, "packages cannot be installed", "asttokens==", "0" * 64)
    assert environments(works) <= before


def test_a_lock_without_a_kernel_says_so(works: Works, client: Client) -> None:
    environment = client.environments.define("no-kernel", python="3.11", requirements=["asttokens"])
    lock = client.environments.lock(environment, LOCK_TEXT[: LOCK_TEXT.index("comm==")])
    truthful(works.failure(works.submission(environment_lock_id=lock.lock_id)), ENVIRONMENT, "has no ipykernel")


def test_a_command_that_waits_for_a_failing_run_ends_with_one_and_without_a_traceback(works: Works) -> None:
    before = set(works.run_ids())
    (works.repository.folder / "fails.ipynb").write_text(notebook(None, "1 / 0"))
    done = works.animus("run", "fails.ipynb", "--env", "kernel", "--commit", "A mistake", "--watch")
    works.acknowledged |= set(works.run_ids()) - before
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback (most recent call last)" not in done.stderr
    assert "ZeroDivisionError" in done.stdout + done.stderr
