# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a notebook of the corpus for real, twice, and compare, as an executor does; each side has a kernel parent of its
own, because a replay rarely has the first run's."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import nbformat

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.comparisons import ComparedFile, ComparedRun, ComparisonRequest, OutputComparison, RunFacts
from animus_contracts.digests import Digest
from animus_contracts.environments import Resources
from animus_contracts.executions import Provenance, Verdict
from animus_contracts.identifiers import RunId
from animus_contracts.parameter_cells import read_parameters
from animus_contracts.parameters import schema_digest
from animus_contracts.runs import DatasetBinding, RunState
from animus_runner.artifacts import Produced, collect_outputs
from animus_runner.comparison.verdict import compare
from animus_runner.execution import execute
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome
from animus_runner.objects import digest_file
from tests.corpus.expectations import FILES, Expected
from tests.ports.records_of_a_project import a_run, digest

HERE = Path(__file__).parent
STATES = {Verdict.SUCCEEDED: RunState.SUCCEEDED, Verdict.FAILED: RunState.FAILED, Verdict.CANCELED: RunState.CANCELED}
MEMORY_MIB = 600


def replay(folder: Path, expected: Expected, parents: tuple[str, str]) -> OutputComparison:
    """Run a notebook twice and compare."""
    sides = [
        _run(folder / "runs" / secrets.token_hex(6), HERE / f"{expected.notebook}.ipynb", parent, **changes)
        for parent, changes in zip(parents, (expected.first, expected.second), strict=True)
    ]
    return compare(ComparisonRequest(left=sides[0], right=sides[1]))


def _run(folder: Path, source: Path, parent: str, *, files: dict[str, str] = FILES, **more: Any) -> ComparedRun:
    for name in ("checkout", "inputs", "outputs", "scratch", "support"):
        (folder / name).mkdir(parents=True, mode=0o755)
    for name in sorted(files, reverse=more.pop("is_reversed", False)):
        (folder / "inputs" / name).write_text(files[name])
    (folder / "checkout" / source.name).write_bytes(source.read_bytes())
    assignment = _assignment(folder, source.name, parent, **more)
    with Cancellation() as never:
        outcome = execute(assignment, lambda _: None, never)
    run = a_run(
        run_id=RunId(assignment.run_id),
        seed=assignment.seed,
        parameters=assignment.parameters,
        resources=assignment.resources,
        datasets=[_binding(files)],
        state=STATES[outcome.verdict],
        failure=outcome.failure,
    )
    facts = RunFacts(run=run, provenance=_provenance(assignment.notebook, outcome))
    outputs, _ = collect_outputs(assignment.outputs)
    executed = Produced(name=source.name, kind=ArtifactKind.NOTEBOOK, path=assignment.output)
    return ComparedRun(facts=facts, artifacts=[_compared(produced) for produced in (executed, *outputs)])


def _assignment(
    folder: Path,
    name: str,
    parent: str,
    *,
    seed: int | None = None,
    cpus: float = 1.0,
    parameters: dict[str, Any] | None = None,
) -> NotebookAssignment:
    notebook = folder / "checkout" / name
    return NotebookAssignment(
        run_id=f"run-{folder.name}",
        notebook=notebook,
        output=folder / "executed.ipynb",
        log=folder / "kernel.log",
        parameters=parameters or {},
        parameters_schema_digest=schema_digest(read_parameters(nbformat.read(notebook, 4))),
        python=Path(sys.executable),
        kernel_parent=parent,
        checkout=folder / "checkout",
        inputs=folder / "inputs",
        outputs=folder / "outputs",
        scratch=folder / "scratch",
        support=folder / "support",
        resources=Resources(wall_seconds=90, memory_mib=MEMORY_MIB, cpus=cpus),
        seed=seed,
    )


def _binding(files: dict[str, str]) -> DatasetBinding:
    [binding] = a_run().datasets
    return DatasetBinding(
        name=binding.name,
        version_id=binding.version_id,
        dataset=binding.dataset,
        ordinal=binding.ordinal,
        content_digest=digest(str(sorted(files.items()))),
    )


def _provenance(notebook: Path, outcome: Outcome) -> Provenance:
    assert outcome.facts is not None, outcome.failure
    return Provenance(
        tree="0" * 40,
        notebook_digest=Digest(digest_file(notebook)),
        python=outcome.facts.python,
        implementation=outcome.facts.implementation,
        platform="here",
        packages=outcome.facts.packages,
        environment=outcome.environment,
        limitations=outcome.limitations,
    )


def _compared(produced: Produced) -> ComparedFile:
    entry = ArtifactEntry(
        name=produced.name,
        kind=produced.kind,
        media_type="application/octet-stream",
        digest=digest_file(produced.path),
        size_bytes=produced.path.stat().st_size,
    )
    return ComparedFile(entry=entry, path=str(produced.path))
