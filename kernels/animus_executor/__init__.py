# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The agent of the data plane: it leases runs, starts them on its machine, and gives the verdict."""
