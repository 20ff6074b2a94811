# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Code is fetched at exactly one commit, and git never writes a working copy.

Rules kept here:

* the URL matches one of two strict shapes and an allowed prefix, at a path segment's boundary;
* ``git fetch`` runs without configuration, hooks, submodules, prompts and every protocol but the one in the URL,
  into a bare cache, limited in time and size, and is skipped when the commit is there;
* files are read out as objects (``git cat-file --batch``) and written by us: no symlink, filter, hook or submodule
  can act, because no code of git that knows them runs. A symbolic link becomes a file that holds its target, as
  with ``core.symlinks=false``; a submodule stays out.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from animus_contracts.runs import CodeRef, FailureReason
from animus_runner.exits import FailedError
from animus_runner.git_objects import Checkout, GitObjects, MissingObjectError, UnsafeTreeError

HTTPS_URL = re.compile(r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~+@-]+)+/?")
FILE_URL = re.compile(r"file://(?:/[A-Za-z0-9._~+@-]+)+/?")
PREFIX = re.compile(r"https://[A-Za-z0-9]|file:///[A-Za-z0-9._]")
"""A prefix names a host or a folder: empty is never permission."""

COMMIT = re.compile(r"[0-9a-f]{40}")

HARDENING = (
    "protocol.allow=never",
    "core.hooksPath=/dev/null",
    "core.symlinks=false",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",  # always one pack, so that one file size limit is the limit of the fetch
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.followRedirects=false",
    "maintenance.auto=false",
    "submodule.recurse=false",
)
PASSED_ON = ("GIT_SSL_CAINFO", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE")
ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "PATH": os.environ.get("PATH", os.defpath),
} | {name: os.environ[name] for name in PASSED_ON if name in os.environ}


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """What a fetch may cost: seconds of wall time, MiB of pack."""

    seconds: float
    mebibytes: int


def verify_repository(url: str, allowed: list[str]) -> str:
    """Check a repository's URL against the allowed prefixes.

    Returns:
        The one git protocol the URL needs, ``https`` or ``file``.

    Raises:
        FailedError: As input, when the URL has another shape or lies below no allowed prefix.
    """
    protocol = "https" if HTTPS_URL.fullmatch(url) else "file" if FILE_URL.fullmatch(url) else ""
    if not protocol or {"..", "."} & set(url.split("/")):
        raise _refused(url, "it is neither https://host/path nor file:///path")
    if not any(_is_below(url, prefix, protocol) for prefix in allowed):
        raise _refused(url, "it is not below a repository prefix that this executor allows")
    return protocol


def check_out(code: CodeRef, destination: Path, cache: Path, allowed: list[str], limits: FetchLimits) -> Checkout:
    """Write the files of a commit into a folder.

    Args:
        code: What to fetch.
        destination: Folder to make; it becomes read-only.
        cache: Folder of the bare repositories.
        allowed: Allowed prefixes of repository URLs.
        limits: What the fetch may cost.

    Returns:
        The tree id and what was left out.

    Raises:
        FailedError: As input, when the code cannot be had; the remedy says what to do.
    """
    if not COMMIT.fullmatch(code.commit):
        raise FailedError(FailureReason.INPUT, f"{code.commit!r} is not a full commit id.")
    protocol = verify_repository(code.repository, allowed)
    bare = cache / f"{hashlib.sha256(code.repository.encode()).hexdigest()[:32]}.git"
    try:
        checkout = _written(bare, code, destination) or _fetched(bare, code, destination, protocol, limits)
    except UnsafeTreeError as error:
        raise _unsafe(code, str(error)) from error
    if checkout is None:
        raise _missing(code, "")
    return checkout


def _written(bare: Path, code: CodeRef, destination: Path) -> Checkout | None:
    if not bare.exists():
        return None
    with GitObjects(bare, ENVIRONMENT) as objects:
        if not objects.has_commit(code.commit):
            return None
        try:
            return objects.write(code.commit, destination)
        except MissingObjectError:  # the cache is broken, or was begun again meanwhile
            shutil.rmtree(destination)
            return None


def _fetched(bare: Path, code: CodeRef, destination: Path, protocol: str, limits: FetchLimits) -> Checkout | None:
    """Fetch while no other run of this executor does; what others read meanwhile appears or goes as a whole."""
    with _locked(bare):
        if checkout := _written(bare, code, destination):  # another run fetched it while this one waited
            return checkout
        if _is_to_begin_again(bare, code, limits):
            shutil.rmtree(bare)
        if not bare.exists():
            _begin(bare, protocol, limits)
        for left in bare.glob("*.lock"):  # git's own, of a fetch that was killed: nobody else fetches now
            left.unlink()
        _fetch(bare, code, protocol, limits)
        return _written(bare, code, destination)


def _is_to_begin_again(bare: Path, code: CodeRef, limits: FetchLimits) -> bool:
    """Say whether the cache has the commit and not its files, or has grown: every commit adds a pack of its own."""
    if not bare.exists():
        return False
    with GitObjects(bare, ENVIRONMENT) as objects:
        return objects.has_commit(code.commit) or _size(bare) > limits.mebibytes << 20


def _begin(bare: Path, protocol: str, limits: FetchLimits) -> None:
    """Make an empty repository, visible when it is finished: git would call a half-made one no repository."""
    arriving = bare.with_suffix(".new")
    shutil.rmtree(arriving, ignore_errors=True)  # whoever began it was killed
    _git(arriving, "init", "--quiet", "--bare", "--template=", str(arriving), protocol=protocol, limits=limits)
    arriving.rename(bare)


def _fetch(bare: Path, code: CodeRef, protocol: str, limits: FetchLimits) -> None:
    arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
    try:
        _git(bare, *arguments, "--", code.repository, code.commit, protocol=protocol, limits=limits)
    except subprocess.TimeoutExpired as error:
        raise FailedError(
            FailureReason.INPUT,
            f"Fetching {code.commit} from {code.repository} took longer than {limits.seconds:.0f} s.",
            remedy="Make the repository smaller, or ask the operator for a longer time.",
        ) from error
    except subprocess.CalledProcessError as error:
        raise _missing(code, error.stderr.decode(errors="replace")[-2000:]) from error


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _git(bare: Path, *arguments: str, protocol: str, limits: FetchLimits) -> None:
    options = [part for setting in (*HARDENING, f"protocol.{protocol}.allow=always") for part in ("-c", setting)]
    command = ["git", "--git-dir", str(bare), *options, *arguments]
    with subprocess.Popen(  # noqa: S603 - every argument is fixed or was matched against a strict pattern
        command, env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        process_group=0,
    ) as process:  # fmt: skip
        try:
            most = limits.mebibytes << 20
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
            _, errors = process.communicate(timeout=limits.seconds)
        except BaseException:
            os.killpg(process.pid, 9)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "git", stderr=errors)


@contextmanager
def _locked(bare: Path) -> Iterator[None]:
    bare.parent.mkdir(parents=True, exist_ok=True)
    with bare.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_below(url: str, prefix: str, protocol: str) -> bool:
    root = prefix.rstrip("/")
    if not PREFIX.match(prefix) or (not url.startswith(root + "/") and url.rstrip("/") != root):
        return False
    if protocol != "file":
        return True
    real_root, real = (os.path.realpath(address.removeprefix("file://")) for address in (root, url))
    return os.path.commonpath([real_root, real]) == real_root


def _refused(url: str, why: str) -> FailedError:
    return FailedError(
        FailureReason.INPUT,
        f"The repository {url[:200]!r} may not be fetched: {why}.",
        remedy="Push the code to an allowed repository, or ask the operator to allow this one.",
    )


def _missing(code: CodeRef, detail: str) -> FailedError:
    return FailedError(
        FailureReason.INPUT,
        f"The commit {code.commit} is not in {code.repository}.",
        detail=detail,
        remedy="Push the commit to the repository and submit again.",
    )


def _unsafe(code: CodeRef, why: str) -> FailedError:
    return FailedError(
        FailureReason.INPUT,
        f"The commit {code.commit} cannot be written out: {why}.",
        remedy="Rename or remove that entry in the repository, commit and submit again.",
    )
