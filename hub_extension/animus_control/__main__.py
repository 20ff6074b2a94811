# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m animus_control`` serves; its settings are environment variables, see :mod:`animus_control.settings`.

A setting that is wrong ends the process with one line and status 2, before anything is opened.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from animus_control.bootstrap import StartError, run
from animus_control.settings import SettingsError, read_settings


def main() -> int:
    """Run the control plane until it is told to stop; returns the exit status."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"animus-control-plane: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("tornado", "alembic", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("animus.requests").setLevel(logging.INFO if settings.log_requests else logging.WARNING)
    try:
        asyncio.run(run(settings))
    except StartError as error:
        print(f"animus-control-plane: {error}", file=sys.stderr)  # noqa: T201 - for whoever starts it, not for the log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
