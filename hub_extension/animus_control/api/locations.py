# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a created thing is found: every creation of the endpoint table has its line here, and a test says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from animus_contracts.endpoint import Endpoint

# Operation: (template below the API prefix, attribute of the answer that fills the last parameter).
LOCATIONS: Mapping[str, tuple[str, str]] = {
    "comparisons.create": ("/projects/{project}/comparisons/{created}", "comparison_id"),
    "dataset_versions.create": ("/projects/{project}/dataset-versions/{created}", "version_id"),
    "datasets.create": ("/projects/{project}/datasets/{created}", "dataset_id"),
    "environment_locks.create": ("/projects/{project}/environment-locks/{created}", "lock_id"),
    "environments.define": ("/projects/{project}/environments/{created}", "environment_id"),
    "executions.put_object": ("/executions/{execution}/objects/{created}", "digest"),
    "inspections.create": ("/projects/{project}/inspections/{created}", "inspection_id"),
    "objects.put": ("/projects/{project}/objects/{created}", "digest"),
    "pipelines.repair": ("/projects/{project}/pipeline-runs/{created}", "pipeline_run_id"),
    "pipelines.submit": ("/projects/{project}/pipeline-runs/{created}", "pipeline_run_id"),
    "policies.put": ("/projects/{project}/policies?name={created}", "name"),
    "preflights.create": ("/projects/{project}/preflights/{created}", "preflight_id"),
    "projects.create": ("/projects/{created}", "project_id"),
    "quotas.put": ("/projects/{project}/quota", "version"),
    "role_bindings.put": ("/projects/{project}/role-bindings/{created}", "binding_id"),
    "runs.replay": ("/projects/{project}/runs/{created}", "run_id"),
    "runs.rerun": ("/projects/{project}/runs/{created}", "run_id"),
    "runs.submit": ("/projects/{project}/runs/{created}", "run_id"),
    "schedules.create": ("/projects/{project}/schedules/{created}", "schedule_id"),
}


def location_of(endpoint: Endpoint, path: Mapping[str, str], result: Any) -> str:
    """Return the path, below the API prefix, of what an operation created; empty when it creates nothing."""
    known = LOCATIONS.get(endpoint.operation)
    if known is None:
        return ""
    template, attribute = known
    values = {name: quote(value, safe=":") for name, value in path.items()}
    return template.format(**values, created=quote(str(getattr(result, attribute)), safe=":"))
