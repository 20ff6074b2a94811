# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A project in which everything exists once, made through the API alone, and one valid request per operation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from animus_contracts.digests import DIGEST
from animus_contracts.endpoint import Body, Endpoint
from animus_contracts.endpoints import BY_OPERATION
from tests.api.conftest import EXECUTOR_TOKEN, Server, key

CONTENT = b"alcohol,class\n13.2,0\n12.1,1\n"
HASH = "ab" * 32
GATE = (
    'forbid (principal, action, resource) when { context.parameters.names.contains("gated") }'
    " unless { context has approval };"
)
POLICY = 'permit (principal, action, resource) when { context.run_class == "development" };'
AT = "2026-01-01T00:00:00Z"
CELL = {"at": AT, "cell_id": "c", "cell_index": 0}
EVENTS = [
    {"type": "notebook.started", "sequence": 1, "at": AT, "cells_total": 1},
    {"type": "cell.started", "sequence": 2, **CELL},
    {"type": "metric.logged", "sequence": 3, "at": AT, "name": "accuracy", "step": 1, "value": 0.97},
    {"type": "cell.ended", "sequence": 4, **CELL, "seconds": 0.1, "status": "ok"},
]
PROVENANCE = {
    "tree": "b" * 40,
    "notebook_digest": "sha256:" + HASH,
    "python": "3.11.7",
    "implementation": "CPython",
    "platform": "Linux",
    "packages": {},
    "environment": {},
    "limitations": [],
}


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(slots=True)
class World:
    """The ids of one project's things; ``path`` fills the templates of the endpoint table."""

    server: Server
    path: dict[str, str] = field(default_factory=dict)
    run_token: str = ""
    dispatch_token: str = ""

    def post(self, token: str, url: str, body: Any) -> Any:
        with self.server.client(token) as client:
            answer = client.post(url, json=body, headers=key())
        assert answer.is_success, answer.text
        return answer.json()

    def look(self) -> dict[str, Any]:
        return {"repository": "https://git.example/lab.git", "ref": "main", "path": "notebooks/train.ipynb"}

    def submission(self) -> dict[str, Any]:
        return {
            "code": {"repository": "https://git.example/lab.git", "commit": "a" * 40, "path": "notebooks/train.ipynb"},
            "environment_lock_id": self.path["lock"],
            "datasets": {"train": self.path["version"]},
            "parameters": {"depth": 4},
            "parameters_schema": [{"name": "depth", "type": "integer"}],
        }

    def pipeline(self) -> dict[str, Any]:
        nodes = {"train": {"notebook": "train.ipynb"}, "evaluate": {"notebook": "evaluate.ipynb", "after": ["train"]}}
        return {
            "pipeline": {"name": "wine", "environment": "sklearn", "nodes": nodes},
            "code": {"repository": "https://git.example/lab.git", "commit": "a" * 40, "path": "pipeline.yaml"},
            "file_digest": digest(b"pipeline"),
            "schemas": {"train.ipynb": [], "evaluate.ipynb": []},
        }


def populate(server: Server, project: str) -> World:
    """Fill a project: a dataset with a version, a locked environment, a policy, a run that is queued."""
    world = World(server, {"project": project, "user": "ann"})
    base = f"/projects/{project}"
    _add_data_and_environment(world, base)
    _add_runs(world, base)
    _add_rules(world, base)
    world.path |= {
        "inspection": world.post("ed", f"{base}/inspections", world.look())["inspection_id"],
        "preflight": world.post("ed", f"{base}/preflights", world.submission())["preflight_id"],
    }
    return world


def _add_data_and_environment(world: World, base: str) -> None:
    put_object(world, "ed", f"{base}/objects/{digest(CONTENT)}", CONTENT)
    world.path["dataset"] = world.post("ed", f"{base}/datasets", {"name": f"wine-{uuid4().hex[:6]}"})["dataset_id"]
    entry = {"path": "train.csv", "digest": digest(CONTENT), "size_bytes": len(CONTENT)}
    version = world.post("ed", f"{base}/datasets/{world.path['dataset']}/versions", {"files": [entry]})
    world.path |= {"version": version["version_id"], "digest": digest(CONTENT)}
    environment = world.post("ed", f"{base}/environments", {"name": "sklearn", "python": "3.11"})["environment_id"]
    lock = {"environment_id": environment, "requirements": f"scikit-learn==1.6.0 --hash=sha256:{HASH}\n"}
    world.path |= {
        "environment": environment,
        "lock": world.post("ed", f"{base}/environment-locks", lock)["lock_id"],
    }


def _add_runs(world: World, base: str) -> None:
    run = world.post("ed", f"{base}/runs", world.submission())
    world.path |= {
        "run": run["run_id"],
        "snapshot": run["policy_snapshot_id"],
        "decision": run["policy_decision_id"],
    }
    pipeline = world.post("ed", f"{base}/pipeline-runs", world.pipeline())
    world.path["pipeline"] = pipeline["pipeline_run_id"]
    world.post("ed", f"{base}/pipeline-runs/{pipeline['pipeline_run_id']}:cancel", {})  # so that it can be repaired


def _add_rules(world: World, base: str) -> None:
    world.post("ann", f"{base}/policies", {"name": "gate", "cedar": GATE})
    gated = world.submission() | {"parameters": {"gated": 1}, "parameters_schema": [{"name": "gated"}]}
    waiting = world.post("ed", f"{base}/runs", gated)
    with world.server.client("ann") as client:
        asked = client.get(f"{base}/approvals", params={"run_id": waiting["run_id"]}).json()["items"]
    nightly = {"name": f"n{uuid4().hex[:6]}", "cron": "0 0 29 2 *", "submission": world.submission()}
    binding = {"subject_type": "user", "subject": f"u{uuid4().hex[:6]}", "role": "viewer"}
    world.path |= {
        "approval": asked[0]["approval_id"],
        "schedule": world.post("ed", f"{base}/schedules", nightly)["schedule_id"],
        "binding": world.post("ann", f"{base}/role-bindings", binding)["binding_id"],
    }


def put_object(world: World, token: str, url: str, content: bytes) -> None:
    with world.server.client(token) as client:
        answer = client.put(url, content=content, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 201, answer.text


def lease(server: Server, *, wait: float = 0) -> dict[str, Any] | None:
    with server.client(EXECUTOR_TOKEN) as client:
        answer = client.post("/leases", json={"wait_seconds": wait})
    assert answer.status_code == 200, answer.text
    granted: dict[str, Any] | None = answer.json()["lease"]
    return granted


def start(world: World) -> dict[str, Any]:
    """Lease the world's run and start it."""
    granted = lease(world.server)
    while granted is not None and granted["run_id"] != world.path["run"]:
        granted = lease(world.server)
    assert granted is not None
    world.path["execution"], world.dispatch_token = granted["execution_id"], granted["dispatch_token"]
    body = {"epoch": granted["epoch"], "dispatch_token": granted["dispatch_token"]}
    world.run_token = world.post(EXECUTOR_TOKEN, f"/executions/{granted['execution_id']}:start", body)["run_token"]
    return granted


def finish(world: World, epoch: int) -> dict[str, Any]:
    """Report a cell, upload an artifact, end the run well; returns the artifact."""
    base, content = f"/executions/{world.path['execution']}", uuid4().bytes
    world.post(world.run_token, f"{base}/events", {"epoch": epoch, "events": EVENTS})
    put_object(world, world.run_token, f"{base}/objects/{digest(content)}", content)
    entry = {
        "name": "model.bin",
        "kind": "output",
        "media_type": "application/octet-stream",
        "digest": digest(content),
        "size_bytes": len(content),
    }
    end = {"event_id": uuid4().hex, "epoch": epoch, "verdict": "succeeded"}
    ended = world.post(EXECUTOR_TOKEN, f"{base}:end", end | {"artifacts": [entry], "provenance": PROVENANCE})
    assert ended["state"] == "succeeded"
    with world.server.client("vic") as client:
        page = client.get(f"/projects/{world.path['project']}/runs/{world.path['run']}/artifacts").json()
    world.path["artifact"] = page["items"][0]["artifact_id"]
    artifact: dict[str, Any] = page["items"][0]
    return artifact


def body_of(world: World, operation: str) -> Any:
    """Return a valid body for an operation; every creation gets a fresh name."""
    name = f"n{uuid4().hex[:12]}"
    bodies: dict[str, Any] = {
        "projects.create": {"name": name},
        "projects.update": {"description": name},
        "role_bindings.put": {"subject_type": "user", "subject": name, "role": "viewer"},
        "datasets.create": {"name": name},
        "dataset_versions.create": {
            "files": [{"path": f"{name}.csv", "digest": world.path["digest"], "size_bytes": len(CONTENT)}]
        },
        "environments.define": {"name": name, "python": "3.11"},
        "environment_locks.create": {
            "environment_id": world.path["environment"],
            "requirements": f"numpy==2.0 --hash=sha256:{HASH}\n",
        },
        "policies.put": {"name": name, "cedar": POLICY},
        "pipelines.submit": world.pipeline(),
        "pipelines.cancel": {"reason": name},
        "policies.simulate": {"name": name, "cedar": POLICY},
        "approvals.decide": {"verdict": "refuse", "comment": name},
        "schedules.create": {"name": name, "cron": "0 0 29 2 *", "submission": world.submission()},
        "runs.submit": world.submission(),
        "runs.cancel": {"reason": name},
        "runs.replay": {},
        "inspections.create": world.look(),
        "preflights.create": world.submission(),
        "comparisons.create": {"left": world.path["run"], "right": name},
        "tasks.lease": {"wait_seconds": 0},
        "tasks.end": {"attempt": 1, "result": {"type": "task_failed", "reason": name}},
        "executions.cancellations": {"wait_seconds": 0},
        "executions.lease": {"wait_seconds": 0},
        "executions.start": {"epoch": 1, "dispatch_token": "ad_unknown"},
        "executions.renew": {"epoch": 1},
        "executions.heartbeat": {"epoch": 1},
        "executions.end": {"event_id": name, "epoch": 1, "verdict": "canceled"},
        "executions.report": {"epoch": 1, "events": []},
    }
    return bodies.get(operation, {})


def send(
    client: httpx.Client, world: World, endpoint: Endpoint, *, path: Mapping[str, str] | None = None, **headers: str
) -> httpx.Response:
    """Send a valid request to an endpoint; a stream is read no further than its headers."""
    values = (
        {"execution": "none", "artifact": "none", "comparison": "none", "task": "none", "run": "none"}
        | world.path
        | dict(path or {})
    )
    url = endpoint.path.format(**values)
    arguments: dict[str, Any] = {"headers": dict(headers)}
    if endpoint.keyed:
        arguments["headers"] |= key()
    if endpoint.matches:
        arguments["headers"]["If-Match"] = '"1"'
    if endpoint.consumes is Body.BYTES:
        assert DIGEST.fullmatch(values["digest"])
        arguments["content"] = CONTENT
    elif endpoint.consumes is Body.JSON:
        arguments["json"] = body_of(world, endpoint.operation)
    if endpoint.operation in {"artifacts.find", "dataset_versions.find"}:
        arguments["params"] = {"digest": values["digest"]}
    if endpoint.operation == "lineage.read":
        arguments["params"] = {"root": f"run:{values['run']}"}
    if endpoint.produces is not Body.EVENTS:
        return client.request(endpoint.method, url, **arguments)
    with client.stream(endpoint.method, url, **arguments) as answer:
        if not answer.is_success:
            answer.read()
        return answer


def endpoint(operation: str) -> Endpoint:
    return BY_OPERATION[operation]
