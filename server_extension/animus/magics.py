# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``%animus`` in a notebook: parse, call, display. Expected errors are one line, never a traceback."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from contextlib import ExitStack
from typing import Any

from animus import comparing, grammar, verbs
from animus.display import Shown, as_json, as_text
from animus.errors import AnimusError, RunFailedError, UsageError
from animus.verdicts import verdict_on
from animus_contracts.comparisons import Comparison


def register(shell: Any) -> None:
    """Register ``%animus`` in an IPython shell."""
    shell.register_magic_function(animus, magic_kind="line", magic_name="animus")


def animus(line: str) -> Any:
    """Carry out one command; ``%animus --help`` tells which there are."""
    try:
        return _answer(line)
    except grammar.HelpShown as text:
        print(text)  # noqa: T201  # the cell's own output
    except AnimusError as error:
        print(f"animus: {error}", file=sys.stderr)  # noqa: T201  # one line instead of a traceback
    return None


def _answer(line: str) -> Any:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError("usage", f"the line cannot be read: {error}") from error
    given = grammar.parse(words)
    if given.verb.__name__ == "hand_over":
        raise UsageError("usage", "this command is for the shell", remedy=f"animus {line.strip()}")
    with ExitStack() as stack:
        return _present(given, given.verb(verbs.Desk(project=given.project, stack=stack), given), stack)


def _present(given: Namespace, value: Any, stack: ExitStack) -> Any:
    if isinstance(value, verbs.Writing):
        for text in value.text:
            print(text, end="")  # noqa: T201  # the cell's own output
        return None
    if isinstance(value, verbs.Following):
        return _show(value, stack)
    if isinstance(value, verbs.FollowingPipeline):
        return _show_pipeline(value, stack)
    if given.json:
        print(as_json(value))  # noqa: T201  # the cell's own output
        return None
    return Shown(value)


def _show(following: verbs.Following, stack: ExitStack) -> Any:
    try:
        from animus.widgets import RunView  # noqa: PLC0415  # optional: without ipywidgets there is text
    except ImportError:
        return _show_text(following)
    from IPython.display import display  # noqa: PLC0415  # only in IPython

    # The view outlives the command, and the connection with it.
    view = RunView(following.client, following.run, following.notes, release=stack.pop_all().close).start()
    display(view)  # type: ignore[no-untyped-call]  # IPython has no types here
    if following.wait:
        view.wait()
        _judge(following, view.state, view.verdict)
    return None


def _show_pipeline(following: verbs.FollowingPipeline, stack: ExitStack) -> Any:
    try:
        from animus.pipeline_widgets import PipelineView  # noqa: PLC0415  # optional: without ipywidgets there is text
    except ImportError:
        return Shown(following.run)
    from IPython.display import display  # noqa: PLC0415  # only in IPython

    view = PipelineView(following.client, following.run, following.notes, release=stack.pop_all().close).start()
    display(view)  # type: ignore[no-untyped-call]  # IPython has no types here
    if following.wait:
        view.wait()
        if view.run.state != "succeeded":
            message = f"pipeline run {view.run.pipeline_run_id} ended {view.run.state}"
            raise RunFailedError("run_not_succeeded", message, remedy="%animus pipeline show")
    return None


def _show_text(following: verbs.Following) -> Any:
    from rich.console import Console  # noqa: PLC0415  # only where it is used

    from animus.progress import follow  # noqa: PLC0415  # as above

    for note in following.notes:
        print(f"note: {note}")  # noqa: T201  # the cell's own output
    if following.wait:
        ended = follow(following.client, following.run, Console(file=sys.stdout))
        verdict = verdict_on(following.client, ended) if following.verify else None
        if verdict is not None:
            print(as_text(verdict))  # noqa: T201  # the cell's own output
        _judge(following, ended.state, verdict)
        return None
    return Shown(following.run)


def _judge(following: verbs.Following, state: str, verdict: Comparison | None) -> None:
    if following.verify:
        if verdict is None or not comparing.agrees(verdict):
            told = comparing.verdict_of(verdict) if verdict else "No verdict"
            message = f"replay {following.run.run_id} did not give the same: {told}"
            raise RunFailedError("replay_not_verified", message, remedy="%animus explain")
        return
    if state != "succeeded":
        raise RunFailedError("run_not_succeeded", f"run {following.run.run_id} ended {state}", remedy="%animus explain")
