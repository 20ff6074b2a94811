# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One name for everything a user does: ``import animus`` in a notebook, a script, or inside a governed run.

Importing it loads the standard library only and nothing of the network, because the same package is imported inside
runs, in environments that hold none of the client's dependencies. Every name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing typing would be most of what importing animus costs
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from animus.client import Client
    from animus.errors import AnimusError
    from animus.inside import Inputs, is_inside, log_artifact, log_metric, seed
    from animus.pipelines import Pipeline

    inputs: Inputs
    outputs: Path

__all__ = ["AnimusError", "Client", "Pipeline", "inputs", "is_inside", "log_artifact", "log_metric", "outputs", "seed"]

HOMES = {
    "AnimusError": "animus.errors",
    "Client": "animus.client",
    "Pipeline": "animus.pipelines",
    "inputs": "animus.inside",
    "is_inside": "animus.inside",
    "log_artifact": "animus.inside",
    "log_metric": "animus.inside",
    "outputs": "animus.inside",
    "seed": "animus.inside",
}


def __getattr__(name: str) -> Any:
    """Fetch a public name from its module (PEP 562)."""
    if name not in HOMES:
        raise AttributeError(f"module 'animus' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Register ``%animus`` (``%load_ext animus``)."""
    inside = import_module("animus.inside")
    home = "animus.quiet" if inside.is_inside() else "animus.magics"
    import_module(home).register(shell)
