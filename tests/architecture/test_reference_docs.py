# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The reference says what the programs say, links lead somewhere, and decisions are written down in order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from animus.errors import UsageError
from animus.grammar import parse
from animus_contracts.projects import Role
from docs.generate import built, explained, stale_pages
from tests.architecture.source_trees import PROJECT, THIS_PROJECT, SourceTree, planted

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def broken_links(tree: SourceTree) -> list[str]:
    """Find relative links in Markdown that lead nowhere."""
    return [
        f"{place}: {target}"
        for place, path in tree.files()
        if place.endswith(".md")
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]


def test_reference_is_fresh() -> None:
    assert stale_pages() == [], "run python -m docs.generate"


def test_stale_page_is_noticed(tmp_path: Path) -> None:
    for name, text in built().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "error-codes.md").write_text("# Yesterday's codes\n", encoding="utf-8")

    assert stale_pages(tmp_path) == ["error-codes.md"]


def test_every_link_between_documents_leads_somewhere() -> None:
    assert broken_links(THIS_PROJECT) == []


def test_broken_link_is_noticed(tmp_path: Path) -> None:
    tree = planted(tmp_path, {"docs/a.md": "[b](b.md), [c](c.md#x), [d](https://example.org/d)", "docs/b.md": ""})

    assert broken_links(tree) == ["docs/a.md: c.md"]


def test_every_document_is_reachable_from_the_index() -> None:
    docs = PROJECT / "docs"
    reached, waiting = set[Path](), [docs / "index.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [page.parent / target for target in LINK.findall(page.read_text(encoding="utf-8"))]
    written = {path.resolve() for path in docs.rglob("*.md") if "changes" not in path.parts}

    assert sorted(path.name for path in written - reached) == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (PROJECT / "docs" / "adr").glob("[0-9]*.md"))

    assert numbers == list(range(1, len(numbers) + 1))


def test_word_without_a_meaning_stops_the_generator() -> None:
    with pytest.raises(SystemExit, match="does not explain"):
        explained("Role", {Role.ADMIN: "may do everything"})


def told(path: Path) -> str:
    """Return the text of a document; of a notebook the text of its cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def commands(tree: SourceTree) -> list[tuple[str, list[str]]]:
    """Return the ``animus`` commands that documents show, with where they stand."""
    return [
        (place, shlex.split(line, comments=True))
        for place, path in tree.files()
        if place.endswith((".md", ".ipynb"))
        for line in re.findall(r"^\s*(?:\$ animus|%animus) (\S.*)$", told(path), flags=re.MULTILINE)
    ]


COMMANDS = commands(THIS_PROJECT)


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[" ".join(words) for _, words in COMMANDS])
def test_command_in_a_document_is_in_the_grammar(place: str, words: list[str]) -> None:
    try:
        assert parse(words).verb, place
    except UsageError as error:
        if error.code != "no_such_file":  # the reader has the file
            pytest.fail(f"{place}: animus {' '.join(words)}: {error}")


def test_command_that_does_not_exist_is_noticed(tmp_path: Path) -> None:
    tree = planted(tmp_path, {"docs/a.md": "```\n$ animus fly home  # at once\n```\n%animus runs --limit 3\n"})

    assert commands(tree) == [("docs/a.md", ["fly", "home"]), ("docs/a.md", ["runs", "--limit", "3"])]
    with pytest.raises(UsageError):
        parse(["fly", "home"])
