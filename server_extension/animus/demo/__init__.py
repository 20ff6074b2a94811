# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo: what a new user would do on the first day, done by a program and checked at each step.

It is a user of the product: it starts the installation as anybody would, logs in with passwords, types commands, and
holds no right that its three people do not hold.
"""
