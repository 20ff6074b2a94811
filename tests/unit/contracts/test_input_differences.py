# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What two runs were made from is compared field by field, by exact types, without what differs by nature."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from animus_contracts.comparisons import InputDifference, RunFacts
from animus_contracts.environments import Resources
from animus_contracts.executions import Provenance
from animus_contracts.identifiers import ArtifactId, RunId
from animus_contracts.input_differences import MAX_SHOWN, input_differences
from animus_contracts.runs import ArtifactBinding, Limitation, RunState
from tests.ports.records_of_a_project import NOW, a_run, digest

PROVENANCE = Provenance(
    tree="0" * 40,
    notebook_digest=digest("notebook"),
    python="3.11.7",
    implementation="CPython",
    platform="Linux-x86_64",
    packages={"numpy": "2.1.0", "pandas": "2.2.0"},
    environment={"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
    limitations=[],
    peak_memory_mib=100.0,
    extra={"seed": 7, "redactions": 0, "cpu_model": "A", "plan_digest": "x", "spec_hash": "y"},
)
BINDING = a_run().datasets[0]
OTHER_CODE = msgspec.structs.replace(a_run().code, commit="f" * 40)
FOUR_THREADS = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "4"}
NETWORK = Limitation.NETWORK_NOT_ISOLATED


def facts(run: dict[str, Any] | None = None, **provenance: Any) -> RunFacts:
    return RunFacts(run=a_run(**(run or {})), provenance=msgspec.structs.replace(PROVENANCE, **provenance))


def fields(left: RunFacts, right: RunFacts) -> list[tuple[str, str | None, str | None]]:
    return [(one.field, one.left, one.right) for one in input_differences(left, right)]


def test_equal_runs_have_no_differences() -> None:
    assert input_differences(facts(), facts()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": RunId("another")},
        {"created_at": NOW + timedelta(days=1), "created_by": "user:ben"},
        {"state": RunState.FAILED, "attempt": 2, "epoch": 3, "version": 4},
        {"labels": {"a": "b"}, "priority": 5},
        {"inputs_hash": digest("other"), "spec_hash": digest("other"), "plan_digest": digest("other")},
    ],
)
def test_what_differs_by_nature_is_no_difference(change: dict[str, Any]) -> None:
    assert input_differences(facts(), facts(change)) == []


def test_measurements_are_no_inputs() -> None:
    assert input_differences(facts(), facts(peak_memory_mib=5.0, extra=PROVENANCE.extra | {"redactions": 3})) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"code": OTHER_CODE}, ("code.commit", f'"{a_run().code.commit}"', f'"{OTHER_CODE.commit}"')),
        ({"parameters": {"depth": 5, "rate": 1.0, "huge": 2**70}}, ("parameters.depth", "4", "5")),
        ({"parameters": {"depth": 4.0, "rate": 1.0, "huge": 2**70}}, ("parameters.depth", "4", "4.0")),
        ({"parameters": {"depth": True, "rate": 1.0, "huge": 2**70}}, ("parameters.depth", "4", "true")),
        ({"parameters": {"rate": 1.0, "huge": 2**70}}, ("parameters.depth", "4", None)),
        ({"seed": 8}, ("seed", "7", "8")),
        ({"seed": None}, ("seed", "7", "null")),
        ({"env_hash": digest("e2")}, ("environment.hash", f'"{digest("environment")}"', f'"{digest("e2")}"')),
        ({"policy_snapshot_digest": digest("p2")}, ("policy.snapshot", f'"{digest("snapshot")}"', f'"{digest("p2")}"')),
        ({"resources": Resources(cpus=2.0)}, ("resources.cpus", "1.0", "2.0")),
        ({"outputs": []}, ("outputs", '["model"]', "[]")),
        ({"datasets": []}, ("datasets.train", f'"{BINDING.content_digest}"', None)),
    ],
)  # fmt: skip
def test_a_difference_of_the_run_is_told(change: dict[str, Any], told: tuple[str, str | None, str | None]) -> None:
    assert fields(facts(), facts(change)) == [told]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"packages": {"numpy": "2.2.0", "pandas": "2.2.0"}}, ("environment.packages.numpy", '"2.1.0"', '"2.2.0"')),
        ({"packages": {"numpy": "2.1.0"}}, ("environment.packages.pandas", '"2.2.0"', None)),
        ({"python": "3.12.1"}, ("provenance.python", '"3.11.7"', '"3.12.1"')),
        ({"platform": "Linux-aarch64"}, ("provenance.platform", '"Linux-x86_64"', '"Linux-aarch64"')),
        ({"environment": FOUR_THREADS}, ("provenance.variables.OMP_NUM_THREADS", '"1"', '"4"')),
        ({"notebook_digest": digest("n2")}, ("code.notebook", f'"{digest("notebook")}"', f'"{digest("n2")}"')),
        ({"limitations": [NETWORK]}, ("provenance.limitations", "[]", '["network_not_isolated"]')),
        ({"extra": PROVENANCE.extra | {"cpu_model": "B"}}, ("provenance.cpu_model", '"A"', '"B"')),
    ],
)  # fmt: skip
def test_a_difference_of_what_ran_is_told(change: dict[str, Any], told: tuple[str, str | None, str | None]) -> None:
    assert fields(facts(), facts(**change)) == [told]


def test_an_input_counts_by_its_content_wherever_it_comes_from() -> None:
    artifact = ArtifactBinding(
        name=BINDING.name,
        artifact_id=ArtifactId("a"),
        run_id=RunId("r"),
        artifact="train.csv",
        digest=digest("bytes"),
        content_digest=BINDING.content_digest,
    )
    assert input_differences(facts(), facts({"datasets": [], "artifacts": [artifact]})) == []


def test_a_provenance_that_one_side_has_not_is_not_compared() -> None:
    assert input_differences(facts(), RunFacts(run=a_run())) == []


def test_a_long_value_is_cut() -> None:
    change = {"parameters": a_run().parameters | {"text": "x" * 1000}}
    [(_, left, right)] = fields(facts(), facts(change))
    assert left is None
    assert right is not None
    assert len(right) == MAX_SHOWN + 1


def test_left_and_right_change_places() -> None:
    one, other = facts({"seed": 8}), facts(python="3.12.1")
    turned = [
        InputDifference(field=found.field, left=found.right, right=found.left)
        for found in input_differences(other, one)
    ]
    assert sorted(turned, key=lambda found: found.field) == sorted(
        input_differences(one, other), key=lambda found: found.field
    )
