# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run in a notebook: a live view that lives in the kernel and only ever looks.

Showing it again, or reloading the page, attaches another picture to the same view; nothing here submits. Two daemon
threads serve a view: one follows the run's events, one paints at most a few times a second; both end with the run. The
view holds no token: that stays in the client it was given.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]  # it has no types

from animus import painting
from animus.client import Client
from animus.errors import AnimusError, RefusedError
from animus.story import Story
from animus.verdicts import is_replay, verdict_on
from animus.waiting import UNSTARTED, Waits
from animus_contracts.artifacts import Artifact
from animus_contracts.comparisons import Comparison
from animus_contracts.runs import Run, RunState

TICK_SECONDS = 1.0
PAUSE_SECONDS = 0.2
BAR_STYLES = {RunState.SUCCEEDED: "success", RunState.FAILED: "danger", RunState.CANCELED: "warning"}


class RunView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Shows one run while it happens.

    Args:
        client: Where to follow it.
        run: The run.
        notes: What the user should know about what was submitted.
        release: Called when the view needs the client no more.
    """

    def __init__(
        self, client: Client, run: Run, notes: Sequence[str] = (), *, release: Callable[[], object] = bool
    ) -> None:
        self._client = client
        self._release = release
        self._story = Story(run)
        self._page = client.session.page_of(client.project, run.run_id)
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._followed = threading.Event()
        self._over = threading.Event()
        self._artifacts: list[Artifact] = []
        self._reason = ""
        self.verdict: Comparison | None = None
        self._header = ipywidgets.HTML()
        self._bar = ipywidgets.IntProgress(min=0, max=1, layout={"width": "260px"})
        self._position = ipywidgets.HTML()
        self._cancel = ipywidgets.Button(description="Cancel", layout={"width": "80px"})
        self._cancel.on_click(self._stop)
        self._parts = {
            name: ipywidgets.HTML()
            for name in ("notes", "waiting", "cells", "metrics", "log", "ending", "verdict", "trouble")
        }
        self._parts["notes"].value = "<br>".join(f"<i>{escape(note)}</i>" for note in notes)
        bar = ipywidgets.HBox([self._bar, self._position, self._cancel])
        super().__init__([self._header, bar, *self._parts.values()])
        self.add_class("animus-run")
        self._paint()

    def __repr__(self) -> str:
        return f"run {self._story.run_id} of {self._story.title}: {self._story.state}"

    @property
    def run_id(self) -> str:
        """The run that is shown."""
        return self._story.run_id

    @property
    def state(self) -> str:
        """The run's state as far as it is known here."""
        return str(self._story.state)

    def start(self) -> RunView:
        """Begin to follow, in the background."""
        for work in (self._follow, self._repaint):
            threading.Thread(target=work, name=f"animus-{work.__name__}", daemon=True).start()
        return self

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the run has ended and the view shows it; False when the time is over before."""
        return self._over.wait(seconds)

    def _follow(self) -> None:
        try:
            with Waits(lambda: self._client.runs.waiting(self.run_id), self._tell_waiting) as waits:
                for event in self._client.runs.events(self.run_id):
                    with self._lock:
                        self._story.fold(event)
                    if self._story.state not in UNSTARTED:
                        waits.stop()
                    self._changed.set()
            ended = self._client.runs.read(self.run_id)
            made = list(self._client.artifacts.list(self.run_id))
            with self._lock:
                self._story.settle(ended)
                self._artifacts = made
            if is_replay(ended):
                self._await_verdict(ended)
        except AnimusError as error:
            self._say(f"animus: {error}")
        finally:
            self._release()
            self._followed.set()
            self._changed.set()

    def _await_verdict(self, replay: Run) -> None:
        self._parts["verdict"].value = "<i>comparing with the run that was replayed…</i>"
        self._changed.set()
        try:
            self.verdict = verdict_on(self._client, replay)
            self._parts["verdict"].value = painting.verdict(self.verdict)
        except RefusedError:  # a replay that nobody wanted to be verified
            self._parts["verdict"].value = ""

    def _tell_waiting(self, reason: str) -> None:
        self._reason = reason
        self._changed.set()

    def _repaint(self) -> None:
        while not self._followed.is_set():
            self._changed.wait(TICK_SECONDS)
            self._changed.clear()
            self._paint()
            time.sleep(PAUSE_SECONDS)
        self._paint()
        self._over.set()

    def _paint(self) -> None:
        now = datetime.now(UTC)
        with self._lock:
            story = self._story
            self._header.value = painting.header(story, self._page, now)
            self._bar.max = max(1, story.cells_total)
            self._bar.value = story.cells_done
            self._bar.bar_style = {"succeeded": "success", "failed": "danger", "canceled": "warning"}.get(
                self.state, ""
            )
            self._position.value = painting.position(story, now)
            self._parts["waiting"].value = painting.waiting(story, self._reason)
            self._parts["cells"].value = painting.cells(story)
            self._parts["metrics"].value = painting.metrics(story)
            self._parts["log"].value = painting.log(story)
            self._parts["ending"].value = painting.ending(story, self._artifacts)
            self._cancel.layout.display = "none" if story.has_ended else None

    def _stop(self, _button: Any) -> None:
        self._cancel.disabled = True
        try:
            self._client.runs.cancel(self.run_id, reason="asked for in the notebook")
        except AnimusError as error:
            self._say(f"animus: {error}")

    def _say(self, trouble: str) -> None:
        self._parts["trouble"].value = f"<span style='color:#c62828'>{escape(trouble)}</span>"
