# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m animus_hub.tether MODULE …``: become a module that is told to end when the Hub is gone, however it went.

A Hub that is killed cannot stop what it has started. Left alone, its proxy would hold the port, and its control plane
and executor the data, of an installation that is started again beside them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str], parent: int) -> None:
    """Ask the kernel for a SIGTERM at the parent's end, then become the module; the wish survives ``exec``.

    Args:
        arguments: The module and its arguments.
        parent: Id of the process that started this one; when it is not the parent any more, it is gone already.

    Raises:
        OSError: If the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot be told of the parent's end")
    if os.getppid() != parent:
        sys.exit("animus: the Hub is gone")
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - no shell, the Hub's own configuration


if __name__ == "__main__":
    main(sys.argv[1:], os.getppid())
