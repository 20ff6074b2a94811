# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Datasets: add files, list, show versions."""

from __future__ import annotations

from argparse import Namespace

from animus.verbs import Desk
from animus_contracts.datasets import Dataset, DatasetVersion


def add(desk: Desk, given: Namespace) -> DatasetVersion:
    """Make the next version of a dataset of files."""
    return desk.client().datasets.add(given.name, given.files, description=given.description)


def show_all(desk: Desk, _given: Namespace) -> list[Dataset]:
    """List datasets."""
    return list(desk.client().datasets.list())


def show(desk: Desk, given: Namespace) -> list[DatasetVersion]:
    """List a dataset's versions, newest first."""
    return list(desk.client().datasets.versions(given.name))
