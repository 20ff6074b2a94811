# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A control plane whose run tokens live for so many seconds: an outage that outlives them need not last for minutes."""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial

from animus_control import settings
from animus_control.__main__ import main

if __name__ == "__main__":
    life = timedelta(seconds=int(sys.argv[1]))
    settings.Limits = partial(settings.Limits, run_token=life)  # type: ignore[misc,assignment]  # no setting has it
    sys.exit(main())
