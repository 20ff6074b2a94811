# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The control plane: decides, records and remembers; it never runs or parses user content."""
