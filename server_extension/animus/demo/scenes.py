# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens on the first day, scene by scene; each checks what it has brought about.

A scene can be played again in an installation that has seen it before: what exists is used, what runs runs anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from animus.demo.expectations import expect
from animus.demo.notebook import execute
from animus.demo.shell import Shell
from animus.locking import platform_tag
from animus_contracts.audit import Action
from animus_contracts.comparisons import Match
from animus_contracts.pipeline_runs import PipelineState
from animus_contracts.projects import Role
from animus_contracts.runs import FailureReason, Run, RunState

PROJECT = "demo"
ENVIRONMENT = "science"
TRAINING, TESTING, MODEL = "breast-cancer-train", "breast-cancer-test", "breast-cancer-model"
GOOD_ACCURACY = 0.9
RUN_LINE = f"%animus run train.ipynb -p depth=2 -p trees=60 --dataset train={TRAINING}"


def make_project(ann: Shell) -> None:
    """Ann makes the project and says who may do what in it."""
    if PROJECT not in {project.name for project in ann.client.projects.list()}:
        ann.animus("project", "create", PROJECT, "--description", "Governed runs, shown on real data")
    ann.animus("member", "add", "ed", Role.EDITOR)
    ann.animus("member", "add", "vic", Role.VIEWER)
    roles = {binding.subject: binding.role for binding in ann.client.members.list()}
    expect(
        roles == {"ann": Role.ADMIN, "ed": Role.EDITOR, "vic": Role.VIEWER}, f"the members of the project are {roles}"
    )


def lock_environment(ed: Shell) -> None:
    """Ed says what runs need, and pins it to exact files."""
    if not list(ed.client.environments.locks(ENVIRONMENT)):
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        ed.animus("env", "define", ENVIRONMENT, "--file", "requirements.in", "--python", python)
        ed.animus("env", "lock", ENVIRONMENT, "--file", "requirements.txt", "--platform", platform_tag())
    lock = next(ed.client.environments.locks(ENVIRONMENT))
    expect("scikit-learn==" in lock.requirements and "--hash=sha256:" in lock.requirements, "the lock pins no hashes")


def register_data(ed: Shell, folder: Path) -> None:
    """A first run writes the data; its files become dataset versions."""
    run = succeed(ed, "prepare.ipynb", "--output", "train.csv", "--output", "test.csv")
    for dataset, name in ((TRAINING, "train.csv"), (TESTING, "test.csv")):
        keep_as_dataset(ed, run, name, dataset, folder)


def train(ed: Shell, folder: Path) -> Run:
    """Train a model in a run, and register the model."""
    run = succeed(
        ed, "train.ipynb", "-p", "depth=3", "-p", "learning_rate=0.1", "--dataset", f"train={TRAINING}",
        "--output", "model.joblib", "--seed", "7",
    )  # fmt: skip
    ed.animus("metrics", run.run_id)
    ed.animus("artifacts", "list", run.run_id)
    accuracy = metric(ed, run, "accuracy")
    expect(accuracy > GOOD_ACCURACY, f"the accuracy is {accuracy}")
    keep_as_dataset(ed, run, "model.joblib", MODEL, folder)
    return run


def evaluate(ed: Shell) -> Run:
    """Evaluate the model on rows that training has not seen."""
    run = succeed(ed, "evaluate.ipynb", "--dataset", f"test={TESTING}", "--dataset", f"model={MODEL}")
    ed.animus("metrics", run.run_id)
    expect(metric(ed, run, "accuracy") > GOOD_ACCURACY, "the model does badly on unseen rows")
    return run


def explain(ed: Shell, run: Run) -> None:
    """Tell the whole story of a run."""
    ed.animus("explain", run.run_id)
    story = ed.client.runs.explain(run.run_id)
    names = {artifact.name for artifact in story.artifacts}
    expect({"model.joblib", "training.png", "train.ipynb"} <= names, f"the run's artifacts are {sorted(names)}")
    expect(all(artifact.digest.startswith("sha256:") for artifact in story.artifacts), "an artifact has no digest")
    expect(story.run.datasets and story.lineage and story.audit, "the story lacks data, lineage or audit")
    expect(story.provenance is not None, "the story lacks where and with what the run was executed")


def check_before(ed: Shell) -> None:
    """A production run without a seed is not submitted to find out that it would be refused."""
    before = newest(ed)
    ed.animus("run", "train.ipynb", "--class", "production", "--dataset", f"train={TRAINING}", "--dry-run", code=1)
    expect(newest(ed).run_id == before.run_id, "checking has made a run")


def replay(ed: Shell, original: Run) -> None:
    """The training is executed again from its stored plan, and what comes out is compared with what came out."""
    ed.animus("replay", original.run_id, "--verify")
    again = newest(ed)
    comparison = ed.client.comparisons.of_replay(again.run_id, original.run_id)
    verdict = comparison.outputs.verdict if comparison and comparison.outputs else None
    expect(verdict is Match.IDENTICAL, f"the verdict on the replay is {verdict}")


def run_pipeline(ed: Shell) -> None:
    """Preparing, training at three depths and evaluating the best of them, as one graph of ordinary runs."""
    ed.animus("pipeline", "run", "pipeline.yaml", "--watch")
    flow = next(ed.client.pipelines.list())
    expect(flow.state is PipelineState.SUCCEEDED, f"the pipeline is {flow.state}")
    ed.animus("pipeline", "show", flow.pipeline_run_id)


def fail_truthfully(ed: Shell) -> None:
    """A run whose code is wrong says where and why."""
    ed.animus("run", "failing.ipynb", "--dataset", f"train={TRAINING}", "--watch", code=1)
    run = newest(ed)
    expect(run.state is RunState.FAILED and run.failure is not None, f"the run with the wrong code is {run.state}")
    failure = run.failure
    expect(
        failure and failure.reason is FailureReason.USER_CODE and "KeyError" in failure.exception and failure.cell_id,
        f"the failure is told as {failure}",
    )


def be_refused(ann: Shell, ed: Shell, vic: Shell) -> None:
    """A production run of code that is not committed is refused by policy; a viewer's run is refused by role."""
    before = newest(ed)
    notebook = ed.folder / "train.ipynb"
    committed = notebook.read_bytes()
    edited = json.loads(committed)
    edited["cells"][-1]["source"].append("\n# not committed")
    notebook.write_text(json.dumps(edited, indent=1), encoding="utf-8")
    try:
        ed.animus(
            "run",
            "train.ipynb",
            "--class",
            "production",
            "--seed",
            "7",
            "--snapshot",
            "--dataset",
            f"train={TRAINING}",
            code=3,
        )
    finally:
        notebook.write_bytes(committed)
    vic.animus("run", "train.ipynb", "--dataset", f"train={TRAINING}", code=3)
    expect(newest(ed).run_id == before.run_id, "a refused submission has become a run")
    refusals = list(ann.client.audit.list(actor="user:ed", action=Action.RUN_REFUSED))
    expect(refusals, "the refusal is not in the audit log")


def run_from_notebook(ed: Shell) -> None:
    """A cell of a notebook in the workspace submits a run, and shows it."""
    workspace = ed.person.workspace(PROJECT)
    ed.console.print(f"\n[bold]{ed.person.name}[/] [dim]in a cell of first-session.ipynb:[/] [cyan]{RUN_LINE}[/]")
    before = newest(ed)
    shown = execute(ed.person, workspace, f"{PROJECT}/first-session.ipynb", RUN_LINE)
    expect(not shown.error and (shown.displays or shown.text), f"the cell shows {shown}")
    run = newest(ed)
    expect(run.run_id != before.run_id, f"the cell has submitted nothing; it shows {shown}")
    ended = ed.client.runs.wait(run.run_id)
    expect(ended.state is RunState.SUCCEEDED, f"the run of the cell is {ended.state}: {ended.failure}")
    expect(ended.created_by == "user:ed", f"the run of the cell is {ended.created_by}'s")
    ed.console.print(f"The cell's run {ended.run_id} has {ended.state}.")


def verify_audit(ann: Shell) -> None:
    """Every change and refusal is in the log, and the log is whole."""
    ann.animus("audit", "list", "--action", Action.RUN_CREATED, "--limit", "5")
    ann.animus("audit", "verify")
    count, _ = ann.client.audit.verify()
    expect(count > 0, "the audit log is empty")


def succeed(shell: Shell, notebook: str, *words: str) -> Run:
    """Submit a notebook, watch it, and return the run that has succeeded."""
    shell.animus("run", notebook, "--env", ENVIRONMENT, *words, "--watch")
    run = newest(shell)
    expect(run.state is RunState.SUCCEEDED, f"the run of {notebook} is {run.state}: {run.failure}")
    return run


def keep_as_dataset(shell: Shell, run: Run, artifact: str, dataset: str, folder: Path) -> None:
    """Fetch an artifact and make it the next version of a dataset, which has the artifact's digest."""
    shell.animus("artifacts", "get", run.run_id, artifact, "--to", str(folder), "--force")
    shell.animus("dataset", "add", dataset, str(folder / artifact))
    digest = shell.client.artifacts.named(run.run_id, artifact).digest
    version = shell.client.datasets.version(dataset)
    expect([entry.digest for entry in version.files] == [digest], f"{dataset} is not what the run has written")


def newest(shell: Shell) -> Run:
    """Return the project's newest run."""
    return next(shell.client.runs.list())


def metric(shell: Shell, run: Run, name: str) -> float:
    """Return the last value of a metric."""
    values = [found.value for found in shell.client.metrics.list(run.run_id) if found.name == name]
    expect(values, f"the run has no metric {name}")
    return values[-1]
