# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs and what comes out of them: submit, follow, stop, explain, fetch.

A downloaded artifact is kept only if its bytes have the digest they should have.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from animus.api import Group
from animus.errors import AnimusError, RefusedError
from animus.following import follow, messages
from animus.story import plain
from animus_contracts.artifacts import Artifact, MadeArtifact, Metric
from animus_contracts.comparisons import ReplayRun, Tolerances
from animus_contracts.decoding import decode_json
from animus_contracts.digests import Digest
from animus_contracts.explanations import Explanation
from animus_contracts.pages import DigestQuery, EventsQuery, ListQuery, RunListQuery
from animus_contracts.queues import Waiting
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import TERMINAL_STATES, CancelRun, Run, RunState, SubmitRun


class Runs(Group):
    """The project's runs."""

    def submit(self, submission: SubmitRun, *, key: str = "") -> Run:
        """Submit a run; with the same key a repetition returns the run that exists."""
        run: Run = self._call("runs.submit", submission, key=key)
        return run

    def list(self, *, state: RunState | None = None, created_by: str | None = None) -> Iterator[Run]:
        """Yield runs, newest first."""
        yield from self._pages("runs.list", RunListQuery(state=state, created_by=created_by))

    def read(self, run: str) -> Run:
        """Return a run."""
        found: Run = self._call("runs.read", run=run)
        return found

    def cancel(self, run: str, *, reason: str = "") -> Run:
        """Ask for a run to be stopped."""
        stopped: Run = self._call("runs.cancel", CancelRun(reason=reason), run=run)
        return stopped

    def rerun(self, run: str) -> Run:
        """Submit a run's inputs again, under today's policies, as a new run."""
        made: Run = self._call("runs.rerun", run=run)
        return made

    def replay(self, run: str, *, verify: bool = True, tolerances: Tolerances | None = None) -> Run:
        """Execute a run's stored plan again, as a new run; when ``verify``, what comes out is compared."""
        message = ReplayRun(verify=verify, tolerances=tolerances or Tolerances())
        made: Run = self._call("runs.replay", message, run=run)
        return made

    def waiting(self, run: str) -> Waiting:
        """Return why a run waits, and where it is in the queue."""
        told: Waiting = self._call("runs.waiting", run=run)
        return told

    def explain(self, run: str) -> Explanation:
        """Return the complete story of a run."""
        story: Explanation = self._call("runs.explain", run=run)
        return story

    def events(self, run: str, *, after: int = 0) -> Iterator[RunEvent]:
        """Yield what happens in a run, from the beginning (or after an event) to its end, as it happens.

        Raises:
            UnreachableError: If the control plane stays silent for five minutes.
        """
        yield from follow(
            lambda known: self._stream(run, known),
            after=after,
            is_last=_ends,
            is_over=lambda _: self.read(run).state in TERMINAL_STATES,
        )

    def log(self, run: str) -> Iterator[str]:
        """Yield what a run's notebook writes, as text without control sequences, until the run has ended."""
        for event in self.events(run):
            if event.type == "stream.written":
                yield plain(event.data["text"])

    def wait(self, run: str) -> Run:
        """Wait until a run has ended and return it."""
        for _ in self.events(run):
            pass
        return self.read(run)

    def _stream(self, run: str, after: int) -> Iterator[RunEvent]:
        query = EventsQuery(after=after)
        with self._transport.stream("runs.events", {"project": self.project, "run": run}, query=query) as reply:
            for data in messages(reply.iter_lines()):
                yield decode_json(data, RunEvent)


class Metrics(Group):
    """What runs measured."""

    def list(self, run: str) -> Iterator[Metric]:
        """Yield a run's metrics in the order they were logged."""
        yield from self._pages("metrics.list", ListQuery(), run=run)


class Artifacts(Group):
    """What runs produced."""

    def list(self, run: str) -> Iterator[Artifact]:
        """Yield a run's artifacts."""
        yield from self._pages("artifacts.list", ListQuery(), run=run)

    def find(self, digest: str) -> Iterator[MadeArtifact]:
        """Yield the artifacts with exactly these bytes, newest first, each with the run that made it."""
        yield from self._pages("artifacts.find", DigestQuery(digest=Digest(digest)))

    def named(self, run: str, name: str) -> Artifact:
        """Return an artifact by its name.

        Raises:
            RefusedError: If the run has none of this name.
        """
        found = list(self.list(run))
        for artifact in found:
            if artifact.name == name:
                return artifact
        names = ", ".join(artifact.name for artifact in found) or "none"
        raise RefusedError("not_found", f"the run has no artifact {name!r}; it has: {names}")

    def download(self, artifact: Artifact, target: Path) -> Path:
        """Fetch an artifact's bytes into a file, all or nothing.

        Raises:
            AnimusError: If the bytes do not have the artifact's digest; nothing is kept then.
        """
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        path = {"project": self.project, "run": artifact.run_id, "artifact": artifact.artifact_id}
        try:
            with self._transport.stream("artifacts.download", path) as reply, part.open("wb") as file:
                digest = hashlib.sha256()
                for chunk in reply.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
            if "sha256:" + digest.hexdigest() != artifact.digest:
                message = f"the bytes of {artifact.name!r} do not have the digest {artifact.digest}"
                raise AnimusError("artifact_hash_mismatch", message, remedy="fetch it again; if it repeats, report it")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target


def _ends(event: RunEvent) -> bool:
    return event.type == "run.state" and event.data.get("state") in TERMINAL_STATES
