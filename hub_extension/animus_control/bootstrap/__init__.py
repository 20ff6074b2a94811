# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The only place that names concrete adapters: it puts the processes together, runs them, and takes them apart again.

Two processes serve. The one that was started decides and writes (:mod:`animus_control.bootstrap.writer`); a fork of
it speaks HTTP, authenticates and reads (:mod:`animus_control.bootstrap.edge`), on a core of its own. They end
together: on SIGTERM the edge finishes what is under way and hangs up, then the writer ends. When one of them is gone,
the other ends, and whoever started the control plane starts it again.
"""

from __future__ import annotations

import errno
import gc
import logging
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable

import uvloop
from tornado.netutil import bind_sockets

from animus_control.bootstrap.edge import serve
from animus_control.bootstrap.errors import StartError
from animus_control.bootstrap.writer import decide
from animus_control.failpoints import arm
from animus_control.settings import Settings

PORT_SECONDS = 5.0
"""How long the port may still be held by what was there before."""

GARBAGE = 20_000
"""After so many new objects cycles are looked for; a request makes about a thousand, and hardly ever a cycle."""

log = logging.getLogger("animus.control")


def run(settings: Settings, *, every_half_second: Callable[[], None]) -> int:
    """Serve until SIGTERM or SIGINT; called before this process has threads.

    Args:
        settings: The settings.
        every_half_second: Called so often by the process that answers requests.

    Returns:
        The exit status: 0 when both processes ended because they were told to.

    Raises:
        StartError: If the control plane cannot start.
    """
    if settings.failpoints:
        log.warning(
            '{"event": "failpoints_armed", "points": "%s"}', " ".join(rule.point for rule in settings.failpoints)
        )
    arm(settings.failpoints)
    listening = _listen(settings)
    gc.collect()
    gc.freeze()  # what is there now stays; neither process need ever look through it for something to collect
    gc.set_threshold(GARBAGE)
    ours, theirs = socket.socketpair()

    def edge() -> None:
        ours.close()
        sys.exit(uvloop.run(serve(settings, theirs, listening, every_half_second=every_half_second)))

    process = multiprocessing.get_context("fork").Process(target=edge, name="animus-edge")
    process.start()
    theirs.close()
    for sock in listening:
        sock.close()
    try:
        return uvloop.run(decide(settings, ours, process))
    finally:
        ours.close()  # an edge that was never made ready learns of it so
        process.join()


def _listen(settings: Settings) -> list[socket.socket]:
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return bind_sockets(settings.port, settings.host)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                address = f"{settings.host}:{settings.port}"
                raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error
        time.sleep(0.1)
