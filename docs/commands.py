# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands as the grammar has them, told without argparse's own layout, which differs between Pythons."""

from __future__ import annotations

from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator

from animus.grammar import grammar

FEW = 5
EVERYWHERE = frozenset({"help", "json", "project"})


def commands() -> Iterator[tuple[str, str, list[str]]]:
    """Yield each command with its positional arguments, what it does, and its options."""
    return _below(grammar(), "animus", "")


def _below(parser: ArgumentParser, name: str, told: str) -> Iterator[tuple[str, str, list[str]]]:
    # argparse has no public way to walk a parser.
    actions = parser._actions  # noqa: SLF001
    verbs = next((action for action in actions if isinstance(action, _SubParsersAction)), None)
    if verbs is None:
        words = [_positional(action) for action in actions if not action.option_strings]
        options = [_option(action) for action in actions if action.option_strings and action.dest not in EVERYWHERE]
        yield " ".join([name, *words]), told, options
        return
    helps = {choice.dest: choice.help or "" for choice in verbs._choices_actions}  # noqa: SLF001
    for verb, below in verbs.choices.items():
        yield from _below(below, f"{name} {verb}", helps.get(verb, ""))


def _positional(action: Action) -> str:
    name = "|".join(action.choices) if action.choices else (action.metavar or action.dest).upper()
    shapes = {"?": f"[{name}]", "+": f"{name}…", "*": f"[{name}…]", "...": f"[{name}…]"}
    return shapes.get(str(action.nargs), str(name))


def _option(action: Action) -> str:
    flag = action.option_strings[-1]
    if action.nargs == 0:
        return f"`{flag}`"
    choices = list(filter(None, action.choices or ()))
    value = "|".join(choices) if 0 < len(choices) <= FEW else action.metavar or action.dest.upper()
    return f"`{flag} {value}`"
