# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m animus_control`` serves; its settings are environment variables, see :mod:`animus_control.settings`.

A setting that is wrong ends the process with one line and status 2, before anything is opened.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from collections.abc import Callable
from logging.handlers import MemoryHandler

from animus_control.bootstrap import run
from animus_control.bootstrap.errors import StartError
from animus_control.settings import SettingsError, read_settings

BUFFERED_REQUESTS = 1000


def main() -> int:
    """Run the control plane until it is told to stop; returns the exit status."""
    faulthandler.enable()  # a crash in a library leaves more than silence
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"animus-control-plane: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("tornado", "alembic", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    flush = _buffer_request_log(enabled=settings.log_requests)
    try:
        return run(settings, every_half_second=flush)
    except StartError as error:
        print(f"animus-control-plane: {error}", file=sys.stderr)  # noqa: T201 - for whoever starts it, not for the log
        return 1
    finally:
        flush()


def _buffer_request_log(*, enabled: bool) -> Callable[[], None]:
    """Collect lines about requests and return the function that writes them.

    A write for every request would cost a tenth of all throughput: it lets another thread run in the middle of the
    answer. What a killed process loses is half a second of this log, never anything of the audit log.
    """
    lines = logging.StreamHandler(sys.stderr)
    buffer = MemoryHandler(BUFFERED_REQUESTS, target=lines, flushOnClose=True)
    log = logging.getLogger("animus.requests")
    log.setLevel(logging.INFO if enabled else logging.WARNING)
    log.addHandler(buffer)
    log.propagate = False
    return buffer.flush


if __name__ == "__main__":
    sys.exit(main())
