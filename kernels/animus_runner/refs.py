# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A name of a commit is resolved at the repository itself, at the moment of the question; nothing is guessed.

A branch wins over a tag of the same name, and an annotated tag means the commit it points to.
"""

from __future__ import annotations

import re
import subprocess

from animus_contracts.runs import FailureReason
from animus_runner.code import COMMIT, ENVIRONMENT, HARDENING, FetchLimits, verify_repository
from animus_runner.exits import FailedError

REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
MAX_ANSWER = 1 << 20


def resolve(repository: str, ref: str, allowed: list[str], limits: FetchLimits) -> str:
    """Return the full commit id that a branch, a tag or a commit id means now.

    Args:
        repository: Address of the repository.
        ref: The name.
        allowed: Allowed prefixes of repository URLs.
        limits: What asking may cost.

    Raises:
        FailedError: As input, when the repository cannot be asked or has no such name.
    """
    protocol = verify_repository(repository, allowed)
    if COMMIT.fullmatch(ref):
        return ref
    if not REF.fullmatch(ref):
        raise FailedError(FailureReason.INPUT, f"{ref[:80]!r} can be no branch and no tag.")
    names = (f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}")
    known = dict(_listed(repository, names, protocol, limits))
    commit = next((known[name] for name in names if name in known), None)
    if commit is None:
        remedy = "Push the branch or the tag, or name another one."
        raise FailedError(FailureReason.INPUT, f"There is no branch or tag {ref!r} in {repository}.", remedy=remedy)
    return commit


def _listed(repository: str, names: tuple[str, ...], protocol: str, limits: FetchLimits) -> list[tuple[str, str]]:
    settings = [part for setting in (*HARDENING, f"protocol.{protocol}.allow=always") for part in ("-c", setting)]
    command = ["git", *settings, "ls-remote", "--quiet", "--", repository, *names]
    try:
        answer = subprocess.run(  # noqa: S603 - every argument is fixed or was matched against a strict pattern
            command, env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=True,
            timeout=limits.seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        summary = f"{repository} did not answer within {limits.seconds:.0f} s."
        raise FailedError(FailureReason.INPUT, summary, remedy="Try again later.") from error
    except subprocess.CalledProcessError as error:
        raise FailedError(
            FailureReason.INPUT,
            f"The repository {repository} cannot be reached.",
            detail=error.stderr.decode(errors="replace")[-2000:],
            remedy="Check its address, and that the executor may read it.",
        ) from error
    lines = answer.stdout[:MAX_ANSWER].decode(errors="replace").splitlines()
    pairs = (line.partition("\t") for line in lines)
    return [(name, commit) for commit, _, name in pairs if COMMIT.fullmatch(commit)]
