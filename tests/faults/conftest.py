# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every campaign of a session is remembered, and the session ends with a table of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.campaign import Campaign, commit, summary

CAMPAIGNS = pytest.StashKey[list[Campaign]]()


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Callable[[str], Campaign]:
    """Open a campaign by its name."""

    def begin(name: str) -> Campaign:
        begun = Campaign(name)
        request.config.stash.setdefault(CAMPAIGNS, []).append(begun)
        return begun

    return begin


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was done to the installation and what became of it."""
    campaigns = config.stash.get(CAMPAIGNS, [])
    if campaigns:
        terminalreporter.section(f"fault campaigns at commit {commit()}")
        for line in summary(campaigns):
            terminalreporter.write_line(line)
