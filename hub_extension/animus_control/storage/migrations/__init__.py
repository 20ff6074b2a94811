# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The history of the schema; a database is brought to its newest state whenever it is opened."""
