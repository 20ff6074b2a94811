# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook in a repository, looked at by the data plane: which commit a name means, and what the notebook declares.

Nothing of it is executed. What is wrong with the code is a ``problem``, in the words a run would fail with.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.identifiers import InspectionId, ProjectId
from animus_contracts.parameters import Parameter
from animus_contracts.runs import Failure


class UndefinedName(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name that a cell uses and no cell above defines: it works only with what is left in a kernel.

    Attributes:
        name: The name.
        cell_index: Position of the cell in the notebook, from 0.
        cell_id: nbformat id of that cell.
        line: Line in that cell, from 1.
        defined_in: Position of the first cell below that defines it; None when no cell does.
    """

    name: str
    cell_index: int
    cell_id: str
    line: int
    defined_in: int | None = None


class CreateInspection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Look at a notebook; ``ref`` is a branch, a tag, or a full commit id."""

    repository: str
    ref: str
    path: str


class InspectNotebook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="inspect_notebook"):
    """The task of looking at a notebook."""

    inspection_id: InspectionId
    repository: str
    ref: str
    path: str


class InspectionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an executor asks its inspection process; it stays inside the data plane.

    Attributes:
        repositories: Prefixes of the repository URLs that may be fetched.
        cache_folder: Where repositories are cached, shared with the runs of this executor.
        folder: Folder for this inspection alone.
        fetch_seconds: How long fetching the code may take.
        fetch_mib: Size of the largest pack that may be fetched, in MiB.
    """

    repository: str
    ref: str
    path: str
    repositories: list[str]
    cache_folder: str
    folder: str
    fetch_seconds: float
    fetch_mib: int


class NotebookFindings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="notebook_findings"):
    """What was found.

    Attributes:
        commit: The commit that the ref means now, in full; empty when there is none.
        tree: Git id of its tree; empty when the commit cannot be had.
        parameters: What the notebook declares.
        has_parameters_cell: Whether it has a cell for parameters at all.
        undefined_names: Names that depend on hidden state; the first few when there are many.
        problem: Why a run of this code would fail before its first cell.
    """

    commit: str = ""
    tree: str = ""
    parameters: list[Parameter] = []
    has_parameters_cell: bool = False
    undefined_names: list[UndefinedName] = []
    problem: Failure | None = None


class Inspection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A notebook that is being looked at, or was; ``findings`` when answered, ``failure`` when nobody could look."""

    inspection_id: InspectionId
    project_id: ProjectId
    repository: str
    ref: str
    path: str
    created_at: datetime
    created_by: str
    state: AnswerState = AnswerState.PENDING
    findings: NotebookFindings | None = None
    failure: str = ""
    ended_at: datetime | None = None
