# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Use cases: authorise, decide, then record everything in one unit of work."""
