# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A dataset grows by versions, each made of bytes the project holds; the same content twice is refused."""

from __future__ import annotations

from animus_contracts.audit import Action
from animus_contracts.datasets import (
    CreateDataset,
    CreateDatasetVersion,
    Dataset,
    DatasetFile,
    DatasetVersion,
    content_digest,
)
from animus_contracts.identifiers import DatasetId, DatasetVersionId
from animus_contracts.pages import DigestQuery, ListQuery, NamedListQuery, Page
from animus_control.domain import lineage
from animus_control.domain.datasets import file_faults, held_faults
from animus_control.domain.errors import ConflictError, MissingError
from animus_control.domain.names import digest_faults, label_faults, name_faults, refuse, text_faults
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.objects import Content
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError
from animus_control.services.scope import by_id, by_id_or_name, project_of


@operation("datasets.create")
def create_dataset(uow: UnitOfWork, call: Call, message: CreateDataset) -> Dataset:
    """Create an empty dataset."""
    limits = call.limits
    refuse(
        [
            *name_faults(message.name, rule="resource"),
            *text_faults(message.description, limits),
            *label_faults(message.labels, limits),
        ]
    )
    dataset = Dataset(
        dataset_id=DatasetId(call.new_id()),
        project_id=project_of(call).project_id,
        name=message.name,
        description=message.description,
        labels=message.labels,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    try:
        uow.datasets.add(dataset)
    except AlreadyExistsError as error:
        raise ConflictError("dataset_name_exists", f"A dataset named {message.name!r} exists here.") from error
    details = {"name": dataset.name}
    uow.audit.append(audited(call, Action.DATASET_CREATED, f"dataset:{dataset.dataset_id}", details=details))
    return dataset


@operation("datasets.list")
def list_datasets(uow: UnitOfWork, call: Call, message: NamedListQuery) -> Page[Dataset]:
    """List datasets."""
    return paged(uow.datasets.page, message, project_of(call).project_id, name=message.name)


@operation("datasets.read")
def read_dataset(uow: UnitOfWork, call: Call, message: None) -> Dataset:  # noqa: ARG001 - every operation has a message
    """Return a dataset by id or name."""
    return by_id_or_name(call, uow.datasets, "dataset", "dataset")


@operation("dataset_versions.create")
def create_version(uow: UnitOfWork, call: Call, message: CreateDatasetVersion) -> DatasetVersion:
    """Make the next version of a dataset."""
    dataset = by_id_or_name(call, uow.datasets, "dataset", "dataset")
    faults = file_faults(message.files, call.limits)
    refuse([*faults, *label_faults(message.metadata, call.limits, path="$.metadata")])
    held = uow.objects.sizes(dataset.project_id, [entry.digest for entry in message.files])
    refuse(held_faults(message.files, held), code="object_not_found")
    version = _next_version(uow, call, dataset, message)
    uow.dataset_versions.add(version)
    uow.dataset_files.add(version)
    edges = lineage.of_version(version)
    uow.lineage.add(lineage.build_edges(edges, project_id=dataset.project_id, now=call.now, new_id=call.new_id))
    details = {
        "dataset": dataset.name,
        "ordinal": version.ordinal,
        "content_digest": version.content_digest,
        "files": len(version.files),
        "size_bytes": version.size_bytes,
    }
    resource = f"dataset_version:{version.version_id}"
    uow.audit.append(audited(call, Action.DATASET_VERSION_CREATED, resource, details=details))
    return version


@operation("dataset_versions.list")
def list_versions(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[DatasetVersion]:
    """List a dataset's versions."""
    dataset = by_id_or_name(call, uow.datasets, "dataset", "dataset")
    return paged(uow.dataset_versions.page, message, dataset.project_id, dataset_id=dataset.dataset_id)


@operation("dataset_versions.find")
def find_versions(uow: UnitOfWork, call: Call, message: DigestQuery) -> Page[DatasetFile]:
    """Find the dataset versions that hold a file with these bytes."""
    refuse(digest_faults(message.digest), code="invalid_query")
    return paged(uow.dataset_files.page, message, project_of(call).project_id, digest=message.digest)


@operation("dataset_versions.read")
def read_version(uow: UnitOfWork, call: Call, message: None) -> DatasetVersion:  # noqa: ARG001 - as above
    """Return a dataset version."""
    return by_id(call, uow.dataset_versions, "version", "dataset version", "dataset_version_not_found")


@operation("dataset_versions.download")
def file_for_download(uow: UnitOfWork, call: Call, message: None) -> Content:  # noqa: ARG001 - as above
    """Return the file of a version that a download names by its digest, and audit the download."""
    version = by_id(call, uow.dataset_versions, "version", "dataset version", "dataset_version_not_found")
    entry = next((entry for entry in version.files if entry.digest == call.path["digest"]), None)
    if entry is None:
        raise MissingError("not_found", "The dataset version has no file with this digest.")
    details = {"path": entry.path, "digest": entry.digest}
    resource = f"dataset_version:{version.version_id}"
    uow.audit.append(audited(call, Action.DATASET_VERSION_DOWNLOADED, resource, details=details))
    return Content(digest=entry.digest, size_bytes=entry.size_bytes, name=entry.path)


def _next_version(uow: UnitOfWork, call: Call, dataset: Dataset, message: CreateDatasetVersion) -> DatasetVersion:
    digest = content_digest(message.files)
    same = uow.dataset_versions.find(dataset.project_id, dataset_id=dataset.dataset_id, content_digest=digest)
    if same is not None:
        detail = f"Version {same.ordinal} of {dataset.name!r} has exactly these files."
        raise ConflictError("duplicate_content", detail, extra={"version_id": same.version_id, "ordinal": same.ordinal})
    newest = uow.dataset_versions.find(dataset.project_id, dataset_id=dataset.dataset_id)
    return DatasetVersion(
        version_id=DatasetVersionId(call.new_id()),
        dataset_id=dataset.dataset_id,
        dataset=dataset.name,
        project_id=dataset.project_id,
        ordinal=newest.ordinal + 1 if newest else 1,
        content_digest=digest,
        size_bytes=sum(entry.size_bytes for entry in message.files),
        files=sorted(message.files, key=lambda entry: entry.path),
        metadata=message.metadata,
        created_at=call.now,
        created_by=call.principal.subject,
    )
