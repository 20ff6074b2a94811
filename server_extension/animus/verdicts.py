# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The verdict on a replay: it comes after the run's end, from whoever compared the bytes."""

from __future__ import annotations

from animus.answers import PATIENCE
from animus.client import Client
from animus.errors import RefusedError
from animus_contracts.comparisons import Comparison
from animus_contracts.origins import Relation
from animus_contracts.runs import Run


def is_replay(run: Run) -> bool:
    """Say whether a run replays another."""
    return run.origin is not None and run.origin.relation is Relation.REPLAY


def verdict_on(client: Client, replay: Run, *, patience: float = PATIENCE) -> Comparison:
    """Wait for the verdict on a replay.

    Raises:
        RefusedError: ``not_found`` when the run is not to be compared with another.
        UnreachableError: ``no_answer`` when nobody compared them in time.
    """
    origin = replay.origin.run_id if replay.origin else ""
    comparison = client.comparisons.of_replay(replay.run_id, origin) if origin else None
    if comparison is None:
        message = f"run {replay.run_id} is not a replay that is verified"
        raise RefusedError("not_found", message, remedy=f"animus compare {origin or 'RUN'} {replay.run_id}")
    return client.comparisons.wait(comparison.comparison_id, patience=patience)
