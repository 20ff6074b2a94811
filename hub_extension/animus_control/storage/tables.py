# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables. What belongs to a project has (project_id, id) as its key, so that no reference can leave the project.

Ids are UUIDv7, so the order of the key is the order of creation, and the key serves the plain list. Each further way
to list a table has one index that ends in the id. A document is written once; what changes has a column of its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from animus_contracts.audit import Action, Outcome
from animus_contracts.datasets import Dataset, DatasetVersion
from animus_contracts.environments import Environment, EnvironmentLock, EnvironmentState
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.projects import Project, ProjectState, Role, RoleBinding, SubjectType
from animus_contracts.quotas import Quota
from animus_control.storage import (  # noqa: F401 - the schema is complete only with them
    check_tables,
    pipeline_tables,
    rule_tables,
    run_tables,
)
from animus_control.storage.columns import METADATA, SERIAL, Instant, Message, number, of_project, records, text, word

projects = Table(
    "projects",
    METADATA,
    text("project_id", primary_key=True),
    text("name", unique=True),
    text("description"),
    Column("labels", Message(dict[str, str]), nullable=False),
    word("state", ProjectState),
    number("version"),
    Column("document", Message(Project), nullable=False),
)

role_bindings = records(
    "role_bindings", "binding_id", RoleBinding,
    word("subject_type", SubjectType), text("subject"), word("role", Role),
    UniqueConstraint("project_id", "subject_type", "subject"),
)  # fmt: skip
Index(None, role_bindings.c.subject_type, role_bindings.c.subject, role_bindings.c.project_id)

# What the Hub said last, and when; nobody's right, and no project's.
user_groups = Table(
    "user_groups", METADATA, text("subject", primary_key=True),
    Column("member_of", Message(list[str])), Column("as_of", Instant), text("failure"),
)  # fmt: skip

datasets = records("datasets", "dataset_id", Dataset, text("name"), UniqueConstraint("project_id", "name"))

dataset_versions = records(
    "dataset_versions", "version_id", DatasetVersion,
    text("dataset_id"), number("ordinal"), text("content_digest"),
    of_project("datasets", "dataset_id"),
    UniqueConstraint("project_id", "dataset_id", "ordinal"),
    UniqueConstraint("project_id", "dataset_id", "content_digest"),
    by=("dataset_id",),
)  # fmt: skip

dataset_files = Table(
    "dataset_files", METADATA,
    text("project_id"), text("digest"), text("version_id"), text("path"),
    PrimaryKeyConstraint("project_id", "digest", "version_id"),
    of_project("dataset_versions", "version_id"),
)  # fmt: skip

environments = records(
    "environments", "environment_id", Environment,
    text("name"), number("version"), word("state", EnvironmentState),
    UniqueConstraint("project_id", "name", "version"),
    by=("name",),
)  # fmt: skip

environment_locks = records(
    "environment_locks", "lock_id", EnvironmentLock,
    text("environment_id"), text("environment"), text("env_hash"),
    of_project("environments", "environment_id"),
    by=("environment_id", "environment", "env_hash"),
)  # fmt: skip

quotas = records("quotas", "quota_id", Quota, number("version"), number("period_days"),
                 UniqueConstraint("project_id", "version"))  # fmt: skip

project_usage = Table(
    "project_usage",
    METADATA,
    text("project_id"),
    number("day"),
    number("cpu"),
    number("memory"),
    number("gpu"),
    PrimaryKeyConstraint("project_id", "day"),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
)

lineage_edges = records(
    "lineage_edges", "edge_id", LineageEdge,
    text("subject"), word("predicate", Predicate), text("object"),
    within=("subject",), by=("object",),
)  # fmt: skip

project_objects = Table(
    "project_objects",
    METADATA,
    text("project_id"),
    text("digest"),
    number("size_bytes"),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("project_id", "digest"),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
)

# An audit event outlives what it tells of, so it references nothing.
audit_events = Table(
    "audit_events",
    METADATA,
    Column("sequence", SERIAL, primary_key=True, autoincrement=False),
    Column("project_id", Text),
    text("actor"),
    word("action", Action),
    text("resource"),
    word("outcome", Outcome),
    Column("record", LargeBinary, nullable=False),
    text("previous_hash"),
    text("hash"),
)
for _field in ("actor", "action", "resource"):
    Index(None, audit_events.c.project_id, audit_events.c[_field], audit_events.c.sequence)
Index(None, audit_events.c.project_id, audit_events.c.sequence)

audit_head = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    number("sequence"),
    text("hash"),
    Column("checked_at", Instant),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("message_id", SERIAL, primary_key=True),
    text("topic"),
    text("key"),
    Column("payload", Message(dict[str, Any]), nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    text("scope"),
    text("key"),
    text("fingerprint"),
    number("status"),
    Column("body", LargeBinary, nullable=False),
    text("location"),
    Column("expires_at", Instant, nullable=False, index=True),
    PrimaryKeyConstraint("scope", "key"),
)

SCHEMA = METADATA
"""All tables; whoever takes it from here has loaded every one of them."""
