# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Rights that an operation asks for. Which role has which is decided by the control plane alone."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """What a member needs to be allowed to do. ``resource:action``, in alphabetical order."""

    ARTIFACT_READ = "artifact:read"
    AUDIT_READ = "audit:read"
    DATASET_READ = "dataset:read"
    DATASET_WRITE = "dataset:write"
    ENVIRONMENT_READ = "environment:read"
    ENVIRONMENT_WRITE = "environment:write"
    MEMBER_READ = "member:read"
    MEMBER_WRITE = "member:write"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    PROJECT_ADMINISTER = "project:administer"
    PROJECT_READ = "project:read"
    RUN_APPROVE = "run:approve"
    RUN_CANCEL = "run:cancel"
    RUN_READ = "run:read"
    RUN_SUBMIT = "run:submit"
