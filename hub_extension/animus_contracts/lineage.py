# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Lineage edges say what came from what; they are written with the fact they describe and never change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.identifiers import ProjectId


class Predicate(StrEnum):
    """How the subject relates to the object."""

    HAS_VERSION = "has_version"
    USED = "used"
    BUILT_FROM = "built_from"
    RAN_IN = "ran_in"
    PRODUCED = "produced"


class LineageEdge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``subject predicate object``; both ends are ``type:id``, such as ``dataset_version:0198…``."""

    edge_id: str
    project_id: ProjectId
    subject: str
    predicate: Predicate
    object: str
    created_at: datetime


class LineageGraph(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The edges within ``depth`` steps of ``root``, in both directions; ``truncated`` when a limit cut it."""

    root: str
    depth: int
    edges: list[LineageEdge]
    truncated: bool
