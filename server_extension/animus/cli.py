# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``animus`` in the shell.

Exit codes: 0 it worked, 1 the run that was waited for did not succeed, 2 the command was wrong, 3 the control plane
refused it, 4 the control plane cannot be reached, 130 interrupted. Expected errors are one line on standard error.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from animus.errors import AnimusError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code."""
    from animus.grammar import HelpShown, parse  # noqa: PLC0415  # a broken pipe while loading is handled, too

    try:
        given = parse(sys.argv[1:] if arguments is None else arguments)
        return _answer(given)
    except HelpShown as help_text:
        _print(str(help_text))
        return 0
    except AnimusError as error:
        print(f"animus: {error}", file=sys.stderr)  # noqa: T201  # the shell's way to be told
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone; what Python would still flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _answer(given: Namespace) -> int:
    from animus.verbs import Desk  # noqa: PLC0415  # only after the command line was accepted

    with ExitStack() as stack:
        return _present(given, given.verb(Desk(project=given.project, stack=stack), given))


def _present(given: Namespace, value: Any) -> int:
    from animus.display import as_json, as_text  # noqa: PLC0415  # only after the command line was accepted
    from animus.verbs import Following, FollowingPipeline, Writing  # noqa: PLC0415  # as above

    if isinstance(value, Writing):
        for text in value.text:
            print(text, end="", flush=True)  # noqa: T201  # the command's output
        return 0
    if isinstance(value, Following):
        return _follow(value, as_json=given.json)
    if isinstance(value, FollowingPipeline):
        return _follow_pipeline(value, as_json=given.json)
    for note in getattr(value, "notes", ()):
        print(f"note: {note}", file=sys.stderr)  # noqa: T201  # the shell's way to be told
    _print(as_json(value) if given.json else as_text(value))
    return int(getattr(value, "exit_code", 0))


def _follow(following: Any, *, as_json: bool) -> int:
    from rich.console import Console  # noqa: PLC0415  # loaded only where it is used

    from animus import display, progress  # noqa: PLC0415  # as above
    from animus_contracts.runs import RunState  # noqa: PLC0415  # as above

    said = Console(stderr=True)
    for note in following.notes:
        said.print(f"note: {note}", markup=False, highlight=False)
    run = following.run
    if following.wait:
        run = progress.follow(following.client, run, said if as_json else Console())
    if following.verify:
        return _verdict(following, as_json=as_json)
    if as_json:
        _print(display.as_json(run))
    elif not following.wait:
        page = following.client.session.page_of(following.client.project, run.run_id)
        _print(f"{run.run_id}  {run.state}  {page}")
    return int(following.wait and run.state is not RunState.SUCCEEDED)


def _verdict(following: Any, *, as_json: bool) -> int:
    from animus import comparing, display, verdicts  # noqa: PLC0415  # loaded only where it is used

    verdict = verdicts.verdict_on(following.client, following.run)
    _print(display.as_json(verdict) if as_json else display.as_text(verdict))
    return int(not comparing.agrees(verdict))


def _follow_pipeline(following: Any, *, as_json: bool) -> int:
    from rich.console import Console  # noqa: PLC0415  # loaded only where it is used

    from animus import display, pipeline_progress, pipeline_tables  # noqa: PLC0415  # as above
    from animus_contracts.pipeline_runs import PipelineState  # noqa: PLC0415  # as above

    said = Console(stderr=True)
    for note in following.notes:
        said.print(f"note: {note}", markup=False, highlight=False)
    run = following.run
    if following.wait:
        run = pipeline_progress.follow(following.client, run, said if as_json else Console())
    if as_json:
        _print(display.as_json(run))
    elif not following.wait:
        _print(pipeline_tables.headline(run))
    return int(following.wait and run.state is not PipelineState.SUCCEEDED)


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # the command's output


if __name__ == "__main__":
    sys.exit(main())
