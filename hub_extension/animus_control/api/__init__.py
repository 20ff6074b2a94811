# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP edge: parse, call, write; domain errors become problems in one place."""
