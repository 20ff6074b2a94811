# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m animus``: the ``animus`` command."""

import sys

from animus.cli import main

sys.exit(main())
