# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole configuration file of a local installation."""

from animus_hub.presets import local

local(c)  # type: ignore[name-defined]  # noqa: F821 - JupyterHub provides it
