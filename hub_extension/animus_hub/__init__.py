# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""JupyterHub's side of Animus: who logs in, which workspaces start, what the Hub's services may do."""
