# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pipelines written in Python: what is built here is a pipeline file, and nothing that a file could not say.

flow = Pipeline("wine", environment="science")
prepare = flow.node("prepare", "prepare.ipynb", outputs=["clean.csv"])
train = flow.node("train", "train.ipynb", inputs={"data": prepare["clean.csv"]}, sweep={"depth": [2, 4]})
flow.submit()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from animus import pipeline_files
from animus.errors import UsageError
from animus_contracts.decoding import convert
from animus_contracts.pipeline_runs import PipelineRun
from animus_contracts.pipelines import ArtifactOf, Best, Demands, Node, OnFailure, Prefer, Sweep, When
from animus_contracts.pipelines import Pipeline as PipelineMessage

FILE = "pipeline.yaml"


class NodeHandle:
    """A node of a pipeline that is being built; ``handle["clean.csv"]`` is one of its artifacts."""

    def __init__(self, name: str, *, item: int | None = None, best: Best | None = None) -> None:
        self.name = name
        self._item, self._best = item, best

    def __repr__(self) -> str:
        return f"NodeHandle({self.name!r})"

    def __getitem__(self, artifact: str) -> ArtifactOf:
        """Return an artifact of the node, for the inputs of another one."""
        return ArtifactOf(node=self.name, artifact=artifact, item=self._item, best=self._best)

    def item(self, number: int) -> NodeHandle:
        """Return one item of a sweep, counted from 0."""
        return NodeHandle(self.name, item=number)

    def best(self, metric: str, *, prefer: str = Prefer.HIGHEST) -> NodeHandle:
        """Return the item of a sweep whose metric is best."""
        return NodeHandle(self.name, best=Best(metric=metric, prefer=Prefer(prefer)))

    def when(
        self,
        metric: str,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        equals: float | None = None,
    ) -> When:
        """Return a condition on a metric of the node."""
        return When(node=self.name, metric=metric, at_least=at_least, at_most=at_most, equals=equals)


class Pipeline:
    """A pipeline that is being built.

    Args:
        name: Its name.
        environment: Environment of every node that names none.
        description: What it is for.
        parameters: Its own parameters, with their defaults; :meth:`parameter` refers to one.
        max_parallel: How many runs there may be at a time.
        on_failure: ``finish_independent`` or ``fail_fast``.
    """

    def __init__(
        self,
        name: str,
        *,
        environment: str = "",
        description: str = "",
        parameters: Mapping[str, Any] | None = None,
        max_parallel: int = 4,
        on_failure: str = OnFailure.FINISH_INDEPENDENT,
    ) -> None:
        self._head = PipelineMessage(
            name=name,
            nodes={},
            description=description,
            parameters=dict(parameters or {}),
            environment=environment,
            max_parallel=max_parallel,
            on_failure=OnFailure(on_failure),
        )
        self._nodes: dict[str, Node] = {}

    def __repr__(self) -> str:
        return f"Pipeline({self._head.name!r}, nodes={list(self._nodes)})"

    @staticmethod
    def parameter(name: str) -> str:
        """Return a reference to one of the pipeline's parameters, as a value for a node's."""
        return f"${{parameters.{name}}}"

    def node(
        self,
        name: str,
        notebook: str,
        *,
        inputs: Mapping[str, ArtifactOf] | None = None,
        after: Sequence[NodeHandle | str] = (),
        sweep: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> NodeHandle:
        """Add a node.

        Args:
            name: Its name.
            notebook: Path of the notebook, relative to the pipeline file.
            inputs: Artifacts of other nodes by the name the notebook uses.
            after: Nodes to wait for besides those.
            sweep: A grid (values by parameter) or a list of items.
            more: ``parameters``, ``datasets``, ``environment``, ``resources``, ``outputs``, ``retries``, ``seed``,
                ``when``, as in a file.

        Raises:
            UsageError: If there is a node of this name, or a member that nodes do not have.
        """
        if name in self._nodes:
            raise UsageError("duplicate_name", f"the pipeline has a node {name!r} already")
        if isinstance(more.get("resources"), Mapping):
            more["resources"] = _demands(more["resources"])
        try:
            self._nodes[name] = Node(
                notebook=notebook,
                inputs=dict(inputs or {}),
                after=[other if isinstance(other, str) else other.name for other in after],
                sweep=_sweep(sweep),
                **more,
            )
        except TypeError as error:
            raise UsageError("unknown_member", f"node {name!r}: {error}") from error
        return NodeHandle(name)

    def message(self) -> PipelineMessage:
        """Return the pipeline as it is sent."""
        return msgspec.structs.replace(self._head, nodes=dict(self._nodes))

    def to_yaml(self) -> str:
        """Return the pipeline as the text of a file."""
        return pipeline_files.encode(self.message())

    def check(self) -> list[pipeline_files.PipelineFault]:
        """Return everything that is wrong with the pipeline by itself; lines are those of :meth:`to_yaml`."""
        return pipeline_files.decode(self.to_yaml().encode(), FILE).check({})

    def save(self, path: Path | str = FILE) -> Path:
        """Write the pipeline into a file, unless the file says exactly this already."""
        file, text = Path(path), self.to_yaml()
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
        return file

    def submit(self, path: Path | str = FILE, **wish: Any) -> PipelineRun:
        """Write the pipeline into its file and submit it.

        Args:
            path: The file, inside a Git repository.
            wish: As in ``animus.pipeline_submission.PipelineWish``.
        """
        from animus.client import Client  # noqa: PLC0415  # building needs no connection
        from animus.pipeline_submission import PipelineWish  # noqa: PLC0415  # as above

        with Client() as client:
            run, _ = client.submit_pipeline(PipelineWish(file=self.save(path), **wish))
        return run


def _sweep(sweep: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None) -> Sweep | None:
    if sweep is None:
        return None
    if isinstance(sweep, Mapping):
        return Sweep(grid={name: list(values) for name, values in sweep.items()})
    return Sweep(items=[dict(item) for item in sweep])


def _demands(amounts: Mapping[str, float]) -> Demands:
    try:
        return convert(dict(amounts), Demands)
    except msgspec.ValidationError as error:
        raise UsageError("unknown_member", f"resources: {error}") from error
