# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The trusted zone never runs or opens user content: by its imports, by its calls, and by what it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source_trees import PROJECT, THIS_PROJECT, TRUSTED, planted
from tests.architecture.trusted_zone import LOADERS, RUNTIMES, dynamic_code, forbidden_imports

CONTROL = "hub_extension/animus_control/planted.py"


def test_trusted_zone_imports_nothing_that_runs_or_opens_user_content() -> None:
    assert forbidden_imports(THIS_PROJECT) == []


@pytest.mark.parametrize("name", sorted(RUNTIMES | LOADERS))
@pytest.mark.parametrize(
    "spelling", ["import {0}", "from {0} import x", "import {0}.x as y", "def f():\n    import {0}"]
)
def test_forbidden_import_is_noticed(tmp_path: Path, name: str, spelling: str) -> None:
    tree = planted(tmp_path, {CONTROL: spelling.format(name)})

    assert len(forbidden_imports(tree)) == 1


def test_the_zones_of_user_code_may_import_it(tmp_path: Path) -> None:
    tree = planted(tmp_path, {"kernels/animus_runner/planted.py": "import papermill, pickle"})

    assert forbidden_imports(tree) == []


def test_trusted_zone_makes_no_code_out_of_data() -> None:
    assert dynamic_code(THIS_PROJECT) == []


@pytest.mark.parametrize(
    "line",
    ["exec(x)", "eval(x)", "compile(x, '', 'exec')", "__import__(x)", "importlib.import_module(x)", "os.system(x)",
     "os.popen(x)", "os.fork()", "builtins.eval(x)", "breakpoint()"],
)  # fmt: skip
def test_dynamic_code_is_noticed(tmp_path: Path, line: str) -> None:
    tree = planted(tmp_path, {CONTROL: f"def f(x):\n    return [{line} for _ in x]\n"})

    assert len(dynamic_code(tree)) == 1


@pytest.mark.parametrize("line", ["re.compile(x)", "statement.compile()", "self.eval(x)", "os.fsync(x)"])
def test_harmless_calls_are_left_alone(tmp_path: Path, line: str) -> None:
    assert dynamic_code(planted(tmp_path, {CONTROL: line})) == []


# alembic and JupyterHub execute migrations and the configuration file in contexts that only they provide; a __main__
# would start the process.
LOAD_EVERYTHING = """
import importlib, pkgutil, sys, warnings
warnings.simplefilter("ignore")  # deprecations inside dependencies are not this test's subject
runtimes = set(sys.argv[1].split(","))
for name in sys.argv[2:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        if ".migrations" not in found.name and not found.name.endswith(("__main__", "jupyterhub_config")):
            importlib.import_module(found.name)
print(*sorted({module.partition(".")[0] for module in sys.modules} & runtimes))
"""


def loaded_runtimes(*packages: str, path: Path = PROJECT) -> list[str]:
    """Import every module of the packages in a new process; return the runtimes it then holds."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_EVERYTHING, ",".join(sorted(RUNTIMES)), *packages],
        cwd=path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_process_that_imports_the_whole_trusted_zone_holds_no_runtime() -> None:
    assert loaded_runtimes(*TRUSTED) == []


def test_a_runtime_that_is_loaded_indirectly_is_noticed(tmp_path: Path) -> None:
    planted(tmp_path, {"seeded/__init__.py": "", "seeded/deep.py": "import jupyter_core, nbclient"})

    assert "nbclient" in loaded_runtimes("seeded", path=tmp_path)
