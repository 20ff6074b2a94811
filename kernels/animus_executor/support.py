# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes ``import animus`` work inside runs: a copy of the package's sources, in a folder of its own.

The package is found and copied, never imported: processes share only words.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from animus_executor.folders import make_read_only, remove


def package_folder(name: str) -> Path:
    """Find an installed package without importing it.

    Raises:
        LookupError: If it is not installed.
    """
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise LookupError(f"the package {name!r} is not installed")
    return Path(found.submodule_search_locations[0])


def provide_support(folder: Path) -> Path:
    """Copy the sources of ``animus`` into a folder, replacing what is there, and return the folder."""
    remove(folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package_folder("animus"), folder / "animus", ignore=ignored)
    make_read_only(folder)
    return folder
