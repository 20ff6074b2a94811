# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The one grammar of ``%animus`` and ``animus``: a verb that is not here exists in neither.

Parsing never exits the process: a mistake raises ``UsageError``, asking for help raises ``HelpShown`` with the text.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from animus import queue_grammar, rule_grammar
from animus.errors import UsageError
from animus.verbs import account, audit, datasets, environments, projects, runs
from animus.verbs import pipelines as flows
from animus.verbs import repeats as again
from animus.verbs.account import existing_file
from animus_contracts.pipeline_runs import PipelineState
from animus_contracts.projects import Role, SubjectType
from animus_contracts.runs import RunClass, RunState

Verb = Callable[..., Any]

HANDED_OVER = {"up": "Start a Hub on this machine", "demo": "Start a Hub and show everything once"}
"""Commands of another program, which has options and help of its own."""

PASSING_ON = frozenset({("schedule", "add")})
"""Commands that take another command's arguments after two dashes."""

DASHES = "--"


class HelpShown(Exception):  # noqa: N818  # not an error: it carries the answer
    """Help was asked for; the argument is its text."""


class Parser(ArgumentParser):
    """A parser that raises where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UsageError("usage", message, remedy=f"{self.prog} --help")

    def print_help(self, file: Any = None) -> NoReturn:
        """Hand the help text to whoever asked."""
        del file
        raise HelpShown(self.format_help())


def parse(words: Sequence[str]) -> Namespace:
    """Parse a command.

    Returns:
        The arguments; ``verb`` is the function to call, ``json`` and ``project`` hold for every verb.

    Raises:
        UsageError: If the command is not in the grammar.
        HelpShown: If it asks for help, or says nothing.
    """
    if words and words[0] in HANDED_OVER:
        return Namespace(verb=account.hand_over, arguments=list(words), json=False, project="")
    own, passed_on = _divided(list(words))
    parser = grammar()
    given = parser.parse_args(own)
    if not hasattr(given, "verb"):
        raise HelpShown(parser.format_help())
    given.arguments = passed_on or getattr(given, "arguments", [])
    return given


def _divided(words: list[str]) -> tuple[list[str], list[str]]:
    """Divide a command from the arguments of another one, which argparse cannot tell apart in every order."""
    if tuple(words[:2]) not in PASSING_ON or DASHES not in words:
        return words, []
    place = words.index(DASHES)
    return words[:place], words[place + 1 :]


@cache
def grammar() -> ArgumentParser:
    """Build the tree of verbs."""
    parser = Parser(prog="animus", description="Governed, reproducible notebook runs.")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    _account(verbs)
    _projects(verbs)
    _datasets(verbs)
    _environments(verbs)
    _submission(verbs)
    _runs(verbs)
    _repeats(verbs)
    _pipelines(verbs)
    queue_grammar.declare(verbs, _verb, _noun)
    rule_grammar.declare(verbs, _verb, _noun)
    _audit(verbs)
    return parser


def _verb(verbs: Any, name: str, function: Verb) -> ArgumentParser:
    """Add a verb; its help is the first line of the function's docstring."""
    told = (function.__doc__ or "").partition("\n")[0]
    parser: ArgumentParser = verbs.add_parser(name, help=told, description=told)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--project", default="", metavar="NAME", help="project, instead of the default one")
    parser.set_defaults(verb=function)
    return parser


def _noun(verbs: Any, name: str, told: str) -> Any:
    parser = verbs.add_parser(name, help=told, description=told)
    return parser.add_subparsers(title="verbs", metavar="VERB", required=True)


def _account(verbs: Any) -> None:
    login = _verb(verbs, "login", account.login)
    login.add_argument("url", nargs="?", default="", help="address of the control plane")
    login.add_argument("--token-file", type=existing_file, help="file that holds the token")
    _verb(verbs, "whoami", account.whoami)
    for name, told in HANDED_OVER.items():
        verbs.add_parser(name, help=told)


def _projects(verbs: Any) -> None:
    project = _noun(verbs, "project", "Projects")
    create = _verb(project, "create", projects.create)
    create.add_argument("name")
    create.add_argument("--description", default="")
    _verb(project, "list", projects.show_all)
    _verb(project, "use", projects.use).add_argument("name")
    member = _noun(verbs, "member", "Members of the project")
    add = _verb(member, "add", projects.add_member)
    remove = _verb(member, "remove", projects.remove_member)
    for parser in (add, remove):
        parser.add_argument("subject", help="name of the user, group or service")
        parser.add_argument("--type", default=SubjectType.USER, choices=[*map(str, SubjectType)])
    add.add_argument("role", choices=[*map(str, Role)])
    _verb(member, "list", projects.show_members)


def _datasets(verbs: Any) -> None:
    dataset = _noun(verbs, "dataset", "Datasets and their versions")
    add = _verb(dataset, "add", datasets.add)
    add.add_argument("name")
    add.add_argument("files", nargs="+", type=Path, help="files and folders")
    add.add_argument("--description", default="")
    _verb(dataset, "list", datasets.show_all)
    _verb(dataset, "show", datasets.show).add_argument("name")


def _environments(verbs: Any) -> None:
    env = _noun(verbs, "env", "Environments and their locks")
    define = _verb(env, "define", environments.define)
    define.add_argument("name")
    define.add_argument("requirements", nargs="*", help="such as scikit-learn>=1.6")
    define.add_argument("-r", "--file", type=existing_file, action="append", default=[], help="requirements file")
    define.add_argument("--python", default="3.11", help="minor version (default: %(default)s)")
    define.add_argument("--description", default="")
    lock = _verb(env, "lock", environments.lock)
    lock.add_argument("name")
    lock.add_argument("--file", type=existing_file, help="resolved requirements with hashes; resolved by uv otherwise")
    lock.add_argument("--platform", default="", help="platform tag; this machine's otherwise")
    _verb(env, "list", environments.show_all)
    _verb(env, "locks", environments.show_locks).add_argument("name", nargs="?", default="")


def _submission(verbs: Any) -> None:
    run = _verb(verbs, "run", runs.run)
    run.add_argument("notebook", nargs="?", type=Path, help="the notebook being edited when absent")
    run.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--dataset", action="append", default=[], metavar="[NAME=]DATASET[@VERSION]")
    run.add_argument("--env", default="", help="environment; the only one when absent")
    run.add_argument("--class", dest="run_class", default=RunClass.DEVELOPMENT, choices=[*map(str, RunClass)])
    run.add_argument("--output", action="append", default=[], metavar="NAME", help="file the run must produce")
    run.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--seed", type=int)
    run.add_argument("--watch", action="store_true", help="wait for the end")
    run.add_argument("--commit", default="", metavar="MESSAGE", help="commit the notebook and push, first")
    run.add_argument("--push", action="store_true", help="push the commit first")
    run.add_argument("--snapshot", action="store_true", help="take uncommitted changes along even for production")
    run.add_argument("--cpus", type=float)
    for name in ("--memory-mib", "--gpus", "--wall-seconds", "--file-mib", "--processes"):
        run.add_argument(name, type=int)
    queue_grammar.declare_submission(run)
    run.add_argument("--dry-run", action="store_true", help="check it, and submit nothing")
    context = _verb(verbs, "context", runs.context)
    context.add_argument("notebook", nargs="?", type=Path)


def _runs(verbs: Any) -> None:
    shown = _verb(verbs, "runs", runs.show_all)
    shown.add_argument("--state", default="", choices=["", *map(str, RunState)])
    shown.add_argument("--by", default="", metavar="USER")
    shown.add_argument("--limit", type=int, default=20)
    watch = _verb(verbs, "watch", runs.watch)
    watch.add_argument("--wait", action="store_true", help="wait for the end")
    for parser in (watch, *(_verb(verbs, verb.__name__, verb) for verb in (runs.logs, runs.metrics, runs.explain))):
        parser.add_argument("run", nargs="?", default="", help="the newest one when absent")
    cancel = _verb(verbs, "cancel", runs.cancel)
    cancel.add_argument("run")
    cancel.add_argument("--reason", default="")
    artifact = _noun(verbs, "artifacts", "What a run produced")
    _verb(artifact, "list", runs.artifacts).add_argument("run", nargs="?", default="")
    get = _verb(artifact, "get", runs.fetch)
    get.add_argument("run")
    get.add_argument("name")
    get.add_argument("--to", type=Path, help="file or folder")
    get.add_argument("--force", action="store_true", help="overwrite")


def _repeats(verbs: Any) -> None:
    rerun, replay, compare = (_verb(verbs, verb.__name__, verb) for verb in (again.rerun, again.replay, again.compare))
    for parser in (rerun, replay):
        parser.add_argument("run")
        parser.add_argument("--watch", action="store_true", help="wait for the end")
    replay.add_argument("--verify", action="store_true", help="wait for the verdict, and fail when it is not the same")
    compare.add_argument("left", metavar="RUN")
    compare.add_argument("right", metavar="RUN")
    for parser in (replay, compare):
        for name in ("--relative", "--absolute"):
            parser.add_argument(name, type=float, metavar="X", help=f"{name[2:]} tolerance for numbers")
    _verb(verbs, "whence", again.whence).add_argument("file", help="a file, or a digest")


def _pipelines(verbs: Any) -> None:
    pipeline = _noun(verbs, "pipeline", "Pipelines of notebooks")
    check, run = _verb(pipeline, "check", flows.check), _verb(pipeline, "run", flows.run)
    for parser in (check, run):
        parser.add_argument("file", type=Path, metavar="FILE", help="the pipeline file")
        parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    check.add_argument("--offline", action="store_true", help="ask the control plane nothing")
    run.add_argument("--class", dest="run_class", default=RunClass.DEVELOPMENT, choices=[*map(str, RunClass)])
    run.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--priority", type=int, default=0)
    run.add_argument("--commit", default="", metavar="MESSAGE", help="commit the file and push, first")
    run.add_argument("--push", action="store_true", help="push the commit first")
    run.add_argument("--snapshot", action="store_true", help="take uncommitted changes along even for production")
    shown = _verb(pipeline, "list", flows.show_all)
    shown.add_argument("--name", default="")
    shown.add_argument("--state", default="", choices=["", *map(str, PipelineState)])
    shown.add_argument("--limit", type=int, default=20)
    for verb in (flows.show, flows.watch):
        parser = _verb(pipeline, verb.__name__, verb)
        parser.add_argument("pipeline", nargs="?", default="", help="the newest one when absent")
    cancel, repair = _verb(pipeline, "cancel", flows.cancel), _verb(pipeline, "repair", flows.repair)
    for parser in (cancel, repair):
        parser.add_argument("pipeline", help="id of the pipeline run")
    cancel.add_argument("--reason", default="")
    for parser in (run, repair):
        parser.add_argument("--watch", action="store_true", help="wait for the end")
    graph = _verb(pipeline, "graph", flows.graph)
    graph.add_argument("pipeline", nargs="?", default="", help="id of a pipeline run, or a file; else the newest run")
    graph.add_argument("--format", default="svg", choices=["svg", "mermaid"])
    graph.add_argument("--to", type=Path, help="file to write")


def _audit(verbs: Any) -> None:
    log = _noun(verbs, "audit", "The audit log")
    show = _verb(log, "list", audit.show)
    for name in ("--actor", "--action", "--resource"):
        show.add_argument(name, default="")
    show.add_argument("--limit", type=int, default=50)
    _verb(log, "verify", audit.verify)
