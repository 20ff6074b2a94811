# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A person, a browser, JupyterLab, a governed run: through the Hub, with nothing faked."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from animus.demo import scenes
from animus_contracts.runs import RunState
from tests.e2e.conftest import ARTIFACTS, World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

SUBMIT = "%animus run train.ipynb"


def log_in(page: Page, world: World, name: str) -> None:
    page.goto(world.hub.address)
    page.fill("#username_input", name)
    page.fill("#password_input", world.passwords[name])
    page.click("#login_submit")
    page.wait_for_selector("#projects")


def open_notebook(page: Page, world: World, name: str) -> None:
    page.goto(f"{world.hub.address}/user/ed/{scenes.PROJECT}/lab/tree/{scenes.PROJECT}/{name}")
    wait_for_kernel(page)


def wait_for_kernel(page: Page) -> None:
    # The indicator in the toolbar is idle before the kernel is connected; the status bar is not.
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)


def test_a_cell_submits_a_run_and_its_widget_reaches_succeeded_and_a_reload_submits_nothing(
    world: World, page: Page
) -> None:
    log_in(page, world, "ed")
    page.click("a.open-workspace")
    page.wait_for_url("**/lab**")
    open_notebook(page, world, "first-session.ipynb")
    before = {run.run_id for run in world.ed.client.runs.list()}

    cell = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=SUBMIT)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    shown = cell.locator(".jp-OutputArea")
    expect(shown).to_contain_text("succeeded", timeout=120_000)
    expect(shown).to_contain_text("model.joblib")
    page.screenshot(path=ARTIFACTS / "widget-succeeded.png")

    submitted = [run for run in world.ed.client.runs.list() if run.run_id not in before]
    assert [(run.state, run.created_by) for run in submitted] == [(RunState.SUCCEEDED, "user:ed")]

    page.keyboard.press("Control+s")
    page.reload()
    wait_for_kernel(page)
    expect(cell.locator(".jp-OutputArea")).to_contain_text("succeeded")
    assert {run.run_id for run in world.ed.client.runs.list()} - before == {submitted[0].run_id}


def test_a_wrong_password_opens_nothing(world: World, page: Page) -> None:
    page.goto(world.hub.address)
    page.fill("#username_input", "ed")
    page.fill("#password_input", world.passwords["vic"])
    page.click("#login_submit")
    expect(page.locator("body")).to_contain_text("Invalid username or password")


def test_the_page_of_a_run_shows_its_cells_and_metrics(world: World, page: Page) -> None:
    run = scenes.newest(world.ed)
    log_in(page, world, "ed")
    page.goto(f"{world.hub.address}/services/animus/projects/{scenes.PROJECT}/runs/{run.run_id}")
    expect(page.locator("body")).to_contain_text("succeeded")
    expect(page.locator("body")).to_contain_text("train_rows" if "prepare" in run.code.path else "accuracy")
