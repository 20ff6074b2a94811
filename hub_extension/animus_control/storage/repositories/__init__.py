# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One repository per aggregate; each speaks contracts, never rows."""
