# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The published vectors: inputs and digests by which an independent implementation can check itself against ours.

``python -m tests.contracts.hash_vectors`` writes them where they do not exist; a digest that was published never
changes, because evidence made with it must stay verifiable.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from animus_contracts.audit import GENESIS, AuditRecord, chain_hash
from animus_contracts.datasets import FileEntry, content_digest
from animus_contracts.digests import canonical, digest_bytes, digest_of, typed
from animus_contracts.environments import Image, Resources, env_hash
from animus_contracts.identifiers import uuid7
from animus_contracts.parameters import Parameter, schema_digest
from animus_contracts.pipeline_plans import build_pipeline_plan, plan_hash
from animus_contracts.pipelines import Pipeline
from animus_contracts.plans import Plan, plan_digest
from animus_contracts.runs import CodeRef, RunClass, inputs_hash, spec_hash

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "hash-vectors.json"
GOLDEN = Path(__file__).parent / "golden"


def _inputs_hash(given: dict[str, Any]) -> str:
    return inputs_hash(
        code=msgspec.convert(given["code"], CodeRef),
        env_hash=given["env_hash"],
        inputs={binding["name"]: binding["content_digest"] for binding in given["datasets"]},
        parameters=given["parameters"],
        resources=msgspec.convert(given["resources"], Resources),
        seed=given["seed"],
    )


def _spec_hash(given: dict[str, Any]) -> str:
    return spec_hash(
        inputs=given["inputs"], policy_snapshot=given["policy_snapshot"], run_class=RunClass(given["run_class"])
    )


def _env_hash(given: dict[str, Any]) -> str:
    return env_hash(
        python=given["python"],
        platform=given["platform"],
        requirements=given["requirements"],
        images=msgspec.convert(given["images"], list[Image]),
    )


FUNCTIONS: dict[str, Callable[[Any], str]] = {
    "canonical": lambda given: canonical(given).decode(),
    "typed": lambda given: canonical(typed(given)).decode(),
    "digest": digest_of,
    "digest_of_text": lambda given: digest_bytes(given.encode()),
    "digest_with_version": lambda given: digest_of(given["value"], version=given["version"]),
    "dataset_content_digest": lambda given: content_digest(msgspec.convert(given, list[FileEntry])),
    "parameters_schema_digest": lambda given: schema_digest(msgspec.convert(given, list[Parameter])),
    "env_hash": _env_hash,
    "inputs_hash": _inputs_hash,
    "spec_hash": _spec_hash,
    "plan_digest": lambda given: plan_digest(msgspec.convert(given, Plan)),
    "pipeline_plan_hash": lambda given: plan_hash(
        build_pipeline_plan(msgspec.convert(given["pipeline"], Pipeline), given["parameters"])
    ),
    "uuid7": lambda given: uuid7(datetime.fromisoformat(given["instant"]), bytes.fromhex(given["randomness"])),
    "audit_chain_hash": lambda given: chain_hash(
        given["previous_hash"], canonical(msgspec.convert(given["record"], AuditRecord))
    ),
}
"""What is hashed, by the name under which the vectors publish it."""


def _golden(name: str) -> Any:
    return msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())


def _cases() -> dict[str, list[Any]]:
    run = _golden("Run")
    code = {"repository": "https://git.example.org/a.git", "commit": "a" * 40, "path": "train.ipynb"}
    inputs = {
        "code": code, "env_hash": run["env_hash"], "datasets": run["datasets"],
        "parameters": {"depth": 4, "rate": 1.0, "name": "Grüße"}, "resources": run["resources"], "seed": 7,
    }  # fmt: skip
    file = {"path": "b.csv", "digest": run["env_hash"], "size_bytes": 1}
    lock = {"python": "3.11", "platform": "linux_x86_64", "requirements": "a==1 --hash=sha256:00\n", "images": []}
    source = {"from": "prepare", "artifact": "clean.csv"}
    pipeline = {
        "name": "wine",
        "environment": "sklearn",
        "parameters": {"share": 0.25},
        "nodes": {
            "train": {"notebook": "train.ipynb", "inputs": {"data": source}, "sweep": {"grid": {"depth": [2, 4]}}},
            "prepare": {
                "notebook": "prepare.ipynb",
                "outputs": ["clean.csv"],
                "parameters": {"share": "${parameters.share}"},
            },
        },
    }
    return {
        "canonical": [
            {"b": [1, 1.5, True, None], "a": "é\u20ac\U0001f600\u0000"},
            {"\u20ac": 1, "\r": 2, "1": 3},
            1e21,
        ],
        "typed": [1, 1.0, -0.0, 2**63, "1", True, None, [1, [1.0]], {"a": {"b": 1e-7}}],
        "digest": [{}, [], "", {"a": 1}],
        "digest_of_text": ["", "abc"],
        "digest_with_version": [{"value": {"a": 1}, "version": "animus.example.v1"}],
        "dataset_content_digest": [[], [file], [file, file | {"path": "a.csv"}], [file | {"path": "a.csv"}, file]],
        "parameters_schema_digest": [[], _golden("SubmitRun")["parameters_schema"]],
        "env_hash": [lock, lock | {"python": "3.12"}],
        "inputs_hash": [inputs, inputs | {"parameters": {"depth": 4.0}}, inputs | {"seed": None}],
        "spec_hash": [
            {"inputs": run["env_hash"], "policy_snapshot": run["env_hash"], "run_class": name}
            for name in ("development", "production")
        ],
        "plan_digest": [_golden("Plan")],
        "pipeline_plan_hash": [
            {"pipeline": pipeline, "parameters": {}},
            {"pipeline": pipeline, "parameters": {"share": 1}},
            {"pipeline": pipeline, "parameters": {"share": 1.0}},
        ],
        "uuid7": [
            {"instant": "2026-01-02T03:04:05.678901+00:00", "randomness": "00010203040506070809"},
            {"instant": "1970-01-01T00:00:00+00:00", "randomness": "ff" * 10},
        ],
        "audit_chain_hash": [{"previous_hash": GENESIS, "record": _golden("AuditRecord")}],
    }


def main() -> None:
    """Publish the vectors if they were not published before."""
    if not PUBLISHED.exists():
        vectors = {
            name: [{"input": given, "output": FUNCTIONS[name](given)} for given in cases]
            for name, cases in _cases().items()
        }
        PUBLISHED.write_bytes(msgspec.json.format(msgspec.json.encode(vectors), indent=2) + b"\n")


if __name__ == "__main__":
    main()
