# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes, layers and purity, as the import graph shows them; each contract is broken once to see that it can be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_trees import PROJECT, planted

SKELETON = {
    f"{package}/__init__.py": ""
    for package in (
        "animus_contracts", "animus_control", "animus_control/api", "animus_control/domain",
        "animus_control/services", "animus_control/storage", "animus_hub", "animus", "animus_server",
        "animus_executor", "animus_runner",
    )
} | {
    "animus_contracts/cell_code.py": "import ast",
    "animus_contracts/decoding.py": "import threading",
    "animus_contracts/parameter_cells.py": "import ast",
    "animus_contracts/undefined_names.py": "from animus_contracts import cell_code",
    "animus_control/__main__.py": "from animus_control import bootstrap",
    "animus_control/bootstrap.py": "from animus_control import api, storage, worker, settings",
    "animus_control/failpoints.py": "",
    "animus_control/settings.py": "import os",
    "animus_control/worker.py": "from animus_control import services",
    "animus_runner/execution.py": "from animus_contracts import parameter_cells",
}  # fmt: skip
"""The smallest tree that keeps every contract."""

VIOLATIONS = [
    ("processes", "animus_executor/leases.py", "import animus_runner"),
    ("processes", "animus/session.py", "from animus_server import application"),
    ("contracts", "animus_contracts/runs.py", "import animus"),
    ("layers", "animus_control/domain/runs.py", "from animus_control import services"),
    ("layers", "animus_control/services/runs.py", "from animus_control import storage"),
    ("layers", "animus_control/api/runs.py", "from animus_control import storage"),
    ("layers", "animus_control/extras.py", ""),
    ("adapters", "animus_control/__main__.py", "from animus_control import bootstrap, storage"),
    ("no-user-code", "animus_control/services/notebooks.py", "import nbformat"),
    ("no-user-code", "animus_hub/start.py", "import subprocess"),
    ("notebooks", "animus_control/services/parameters.py", "from animus_contracts import parameter_cells"),
    ("notebooks", "animus_executor/preflights.py", "from animus_contracts import undefined_names"),
    ("pure", "animus_control/domain/clock.py", "import time"),
    ("pure", "animus_contracts/files.py", "from pathlib import Path"),
    ("pure", "animus_contracts/leases.py", "import threading"),
    ("runner", "animus_runner/http.py", "import tornado.httpclient"),
]
CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def lint_imports(path: Path, cache: Path) -> tuple[int, str]:
    """Check the project's contracts, on the packages found at ``path`` first."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--config", PROJECT / "pyproject.toml", "--cache-dir", cache, "--no-logo"],
        env={**os.environ, "PYTHONPATH": str(path), "COLUMNS": "200"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    status, report = lint_imports(PROJECT / "hub_extension", tmp_path)

    assert status == 0, report


def test_the_skeleton_keeps_every_contract(tmp_path: Path) -> None:
    planted(tmp_path / "tree", SKELETON)

    status, report = lint_imports(tmp_path / "tree", tmp_path / "cache")

    assert status == 0, report


@pytest.mark.parametrize(("contract", "place", "text"), VIOLATIONS)
def test_violated_contract_is_noticed(tmp_path: Path, contract: str, place: str, text: str) -> None:
    planted(tmp_path / "tree", SKELETON | {place: text})

    status, report = lint_imports(tmp_path / "tree", tmp_path / "cache")

    assert status == 1
    assert re.findall(r"^(.*?) BROKEN(?: \(1 ignored import\))?$", report, flags=re.MULTILINE) == [CONTRACTS[contract]]


def test_every_contract_has_a_violation() -> None:
    assert {contract for contract, _, _ in VIOLATIONS} == set(CONTRACTS)
