# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules without IO: time, ids and randomness come in as arguments."""
