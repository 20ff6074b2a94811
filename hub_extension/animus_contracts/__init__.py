# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The words the processes of Animus share: frozen messages, canonical digests, the API as a table.

Everything here is a value. Nothing reads a clock, a file, a socket or a source of randomness, and nothing
here imports another package of the project.
"""

API_PREFIX = "/api/v1"
