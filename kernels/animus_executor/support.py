# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes ``import animus`` work inside runs: a copy of the package's sources, in a folder of its own.

The package is found and copied, never imported: processes share only words.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from animus_executor.folders import content_digest, make_read_only, remove

NAME_CHARACTERS = 16


def package_folder(name: str) -> Path:
    """Find an installed package without importing it.

    Raises:
        LookupError: If it is not installed.
    """
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise LookupError(f"the package {name!r} is not installed")
    return Path(found.submodule_search_locations[0])


def provide_support(folder: Path, *, is_shared: bool = False) -> Path:
    """Copy the sources of ``animus`` into a folder of their own below ``folder``, and return that one.

    It is named by what it holds, so that a run which outlived an executor keeps what it has begun with.

    Args:
        folder: Where the copies are.
        is_shared: Whether a run of a predecessor may still use another copy; else the others are removed.
    """
    arriving = folder / "new"
    remove(arriving)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package_folder("animus"), arriving / "animus", ignore=ignored)
    make_read_only(arriving)
    provided = folder / content_digest(arriving).removeprefix("sha256:")[:NAME_CHARACTERS]
    if provided.is_dir():
        remove(arriving)
    else:
        arriving.rename(provided)
    for other in folder.iterdir():
        if other != provided and not is_shared:
            remove(other)
    return provided
