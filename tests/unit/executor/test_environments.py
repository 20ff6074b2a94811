# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock is installed once and exactly, and an environment that changed is never used again."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
import time
from pathlib import Path

import msgspec
import pytest

from animus_contracts.digests import Digest
from animus_contracts.plans import PlannedEnvironment
from animus_executor import installation
from animus_executor.environments import Environments
from animus_executor.folders import remove
from animus_executor.installation import InterruptedBuildError, UnrealisableError, logical_lines, verify_lock
from tests.fakes.plans import a_planned_environment
from tests.fakes.wheels import make_wheel


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


@pytest.fixture
def lock(wheels: Path) -> PlannedEnvironment:
    kernel = make_wheel(wheels, "ipykernel", "7.1.0", "WHO = 'kernel'")
    return a_planned_environment(kernel + make_wheel(wheels, "maths", "1.0", "ONE = 1"))


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "environments", keep=1)


def said_by(folder: Path, code: str) -> str:
    done = subprocess.run([folder / "bin" / "python", "-B", "-c", code], check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_a_lock_is_installed_read_only_and_used_again(environments: Environments, lock: PlannedEnvironment) -> None:
    with environments.realised(lock) as first, environments.realised(lock) as second:
        assert first == second
        assert said_by(first, "import maths, ipykernel; print(maths.ONE, ipykernel.WHO)") == "1 kernel"
        writable = [
            path for path in [first, *first.rglob("*")] if not path.is_symlink() and path.stat().st_mode & 0o222
        ]
        assert writable == []


def test_a_build_that_nobody_needs_any_more_ends_at_once_and_leaves_nothing(
    tmp_path: Path, lock: PlannedEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(installation.uv, "find_uv_bin", lambda: str(slow))
    environments, stopping = Environments(tmp_path / "e", keep=1), threading.Event()
    threading.Timer(0.3, stopping.set).start()
    began = time.monotonic()
    with pytest.raises(InterruptedBuildError), environments.realised(lock, stopping):
        pass
    assert time.monotonic() - began < 3.0
    assert [path for path in (tmp_path / "e").iterdir() if path.is_dir()] == []


def test_who_waits_for_a_build_of_somebody_else_can_be_stopped(tmp_path: Path, lock: PlannedEnvironment) -> None:
    environments, stopping = Environments(tmp_path / "e", keep=1), threading.Event()
    with environments.realised(lock):
        pass
    [held] = (tmp_path / "e").glob("*.lock")
    threading.Timer(0.2, stopping.set).start()
    with held.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InterruptedBuildError), environments.realised(lock, stopping):
            pass


def test_an_environment_of_an_adopted_run_stays(tmp_path: Path, lock: PlannedEnvironment) -> None:
    with Environments(tmp_path / "e", keep=0).realised(lock) as folder:
        pass
    successor = Environments(tmp_path / "e", keep=0)
    successor.trim(spared=[folder])
    assert folder.is_dir()
    with successor.held(folder):
        successor.trim()
        assert folder.is_dir()
    successor.trim()
    assert not folder.exists()


def test_another_executor_on_the_same_folder_verifies_and_uses_it(tmp_path: Path, lock: PlannedEnvironment) -> None:
    with Environments(tmp_path / "e", keep=1).realised(lock) as first:
        pass
    with Environments(tmp_path / "e", keep=1).realised(lock) as second:
        assert first == second


def test_a_lock_is_built_once_when_many_ask_at_once(environments: Environments, lock: PlannedEnvironment) -> None:
    found: list[Path] = []

    def ask() -> None:
        with environments.realised(lock) as folder:
            found.append(folder)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.parametrize("attack", ["changed", "added", "deleted", "replaced"])
@pytest.mark.parametrize("is_known", [True, False], ids=["same executor", "restarted executor"])
def test_a_tampered_environment_is_noticed_and_built_anew(
    tmp_path: Path, lock: PlannedEnvironment, attack: str, *, is_known: bool
) -> None:
    environments = Environments(tmp_path / "e", keep=1)
    with environments.realised(lock) as folder:
        [module] = folder.rglob("site-packages/maths.py")
    module.parent.chmod(0o755)
    before = module.stat()
    if attack == "added":
        (module.parent / "sitecustomize.py").write_text("print('evil')")
    elif attack == "deleted":
        module.unlink()
    elif attack == "replaced":
        (module.parent / "other").write_text("ONE = 2")
        (module.parent / "other").replace(module)
    else:
        module.chmod(0o644)
        module.write_text("ONE = 2")
        os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
        module.chmod(0o444)
    module.parent.chmod(0o555)
    again = environments if is_known else Environments(tmp_path / "e", keep=1)
    with again.realised(lock) as rebuilt:
        assert rebuilt != folder
        assert said_by(rebuilt, "import maths; print(maths.ONE)") == "1"


def test_a_wheel_with_other_bytes_is_not_installed(
    environments: Environments, lock: PlannedEnvironment, wheels: Path, tmp_path: Path
) -> None:
    make_wheel(wheels, "maths", "1.0", "ONE = 'evil'")
    with pytest.raises(UnrealisableError, match="cannot be installed") as caught, environments.realised(lock):
        pass
    assert "hash" in caught.value.detail.lower()
    assert [path.name for path in (tmp_path / "environments").iterdir() if path.is_dir()] == []


def test_a_python_that_is_not_there_fails_with_a_remedy(environments: Environments) -> None:
    lock = a_planned_environment(python="3.2")
    with pytest.raises(UnrealisableError, match=r"Python 3\.2 is not installed") as caught, environments.realised(lock):
        pass
    assert "another version" in caught.value.remedy


HASH = f"--hash=sha256:{'a' * 64}"
KERNEL = f"ipykernel==7.1.0 {HASH}\n"
BAD_LINES = [
    "-r /etc/passwd",
    "--index-url https://evil.example/simple",
    "--find-links /tmp",
    "-e .",
    f"x @ https://evil.example/x.whl {HASH}",
    f"https://evil.example/x.whl {HASH}",
    f"./x.whl {HASH}",
    "x==1",
    f"x>=1 {HASH}",
    f"x==1 {HASH} --config-settings=a",
    "x==1 --hash=md5:abc",
    f"x==1 --index-url=evil {HASH}",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_lock_that_says_more_than_pins_with_hashes_is_refused(line: str) -> None:
    with pytest.raises(UnrealisableError, match="not a pin with hashes"):
        verify_lock(a_planned_environment(f"{KERNEL}{line}\n"))


GOOD_LINES = [
    f"x==1 {HASH}",
    f"x[a,b]==1.0.post1+cpu {HASH} {HASH}",
    f"x==1 ; python_version < '3.12' and sys_platform == 'linux' {HASH}",
    f"# a comment\nx==1 \\\n    {HASH} \\\n    {HASH}\n    # via y",
]


@pytest.mark.parametrize("line", GOOD_LINES)
def test_what_a_resolver_writes_is_accepted(line: str) -> None:
    verify_lock(a_planned_environment(f"{KERNEL}{line}\n"))
    assert len(logical_lines(line)) == 1


def test_a_lock_without_a_kernel_fails_with_a_remedy() -> None:
    with pytest.raises(UnrealisableError, match="no ipykernel") as caught:
        verify_lock(a_planned_environment(f"x==1 {HASH}\n"))
    assert "Add ipykernel" in caught.value.remedy


def test_a_lock_that_is_not_the_one_its_digest_names_is_refused() -> None:
    lock = msgspec.structs.replace(a_planned_environment(), env_hash=Digest("sha256:" + "0" * 64))
    with pytest.raises(UnrealisableError, match="not the one its digest names"):
        verify_lock(lock)


def test_the_oldest_unused_environments_are_dropped(
    environments: Environments, lock: PlannedEnvironment, wheels: Path
) -> None:
    other = a_planned_environment(make_wheel(wheels, "ipykernel", "7.2.0"))
    with environments.realised(lock) as first, environments.realised(other) as second:
        environments.trim()
        assert first.is_dir()
    environments.trim()
    assert not first.exists()
    assert second.is_dir()


def test_removing_a_read_only_tree_removes_it_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "deep").chmod(0o500)
    (tmp_path / "tree").chmod(0o500)
    remove(tmp_path / "tree")
    remove(tmp_path / "tree")
    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "tree").exists()
