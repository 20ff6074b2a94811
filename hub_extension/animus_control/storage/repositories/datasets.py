# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A dataset and its versions never change."""

from __future__ import annotations

from animus_contracts.datasets import Dataset, DatasetVersion
from animus_control.storage.repositories.records import Layout
from animus_control.storage.tables import dataset_versions, datasets

DATASETS = Layout[Dataset](datasets)
DATASET_VERSIONS = Layout[DatasetVersion](dataset_versions)
