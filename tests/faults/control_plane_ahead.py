# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A control plane that lives some seconds ahead: nothing differs but the present that its database tells.

Run as a program, with the seconds; everything else comes from the environment as always.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

from animus_control.__main__ import main
from animus_control.storage.database import ReadableStore

if __name__ == "__main__":
    ahead, present = timedelta(seconds=int(sys.argv[1])), ReadableStore.now

    def now(self: ReadableStore) -> datetime:
        """Return the present of a database whose clock is ahead."""
        return present(self) + ahead

    ReadableStore.now = now  # type: ignore[method-assign]  # the one source of time that a control plane has
    sys.exit(main())
