# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Speed, measured as ratios against peers and limits in one run; never asserted in a test."""
