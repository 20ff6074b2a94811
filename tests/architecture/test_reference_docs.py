# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The reference says what the programs say, links lead somewhere, and decisions are written down in order."""

from __future__ import annotations

import re
from pathlib import Path

from docs.generate import built, stale_pages
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
