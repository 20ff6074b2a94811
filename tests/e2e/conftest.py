# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One real installation for all end-to-end tests, and a real browser; nothing is faked here.

The installation is the one of ``animus up``, on free ports, in a folder of its own; people, project, environment and
data are made by the demo's own scenes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from animus.demo import scenes
from animus.demo.__main__ import shell_of
from animus.demo.hub import LocalHub
from animus.demo.people import Person, log_in
from animus.demo.shell import Shell

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
ARTIFACTS = Path(__file__).parents[2] / "test-artifacts"


@dataclass(frozen=True, slots=True)
class World:
    """A running installation with three people in one project."""

    hub: LocalHub
    passwords: dict[str, str]
    ann: Shell
    ed: Shell
    vic: Shell


@pytest.fixture(scope="session", name="world")
def _world() -> Iterator[World]:
    # Paths of unix sockets are short, and pytest's temporary folders are not.
    data = Path(tempfile.mkdtemp(prefix="animus-e2e-"))
    hub = LocalHub(data)
    console = Console(file=(data / "console.txt").open("w", encoding="utf-8"), width=120)
    try:
        with ExitStack() as clients:
            yield _furnished(hub, clients, console)
    finally:
        ARTIFACTS.mkdir(exist_ok=True)
        if hub.log.exists():
            shutil.copy(hub.log, ARTIFACTS / "e2e-hub.log")
        console.file.close()
        hub.remove()


def _furnished(hub: LocalHub, clients: ExitStack, console: Console) -> World:
    def shell(person: Person) -> Shell:
        opened = shell_of(hub, person, console)
        clients.enter_context(opened.client)
        return opened

    passwords = hub.passwords()
    hub.start()
    ann = log_in(hub.address, "ann", passwords["ann"])
    scenes.make_project(shell(ann))
    ed, vic = (log_in(hub.address, name, passwords[name]) for name in ("ed", "vic"))
    ed.ask_for_workspace(scenes.PROJECT)
    ed.workspace(scenes.PROJECT)
    world = World(hub, passwords, shell(ann), shell(ed), shell(vic))
    (hub.data / "demo").mkdir()
    scenes.lock_environment(world.ed)
    scenes.register_data(world.ed, hub.data / "demo")
    return world


@pytest.fixture(scope="session", name="browser")
def _browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: install the package chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(name="page")
def _page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 950})
    page.set_default_timeout(60_000)
    yield page
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{request.node.name}.png")
    page.close()
