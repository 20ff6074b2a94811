# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Inside each run: everything between a plan and its result; the only package beside which user code runs."""
