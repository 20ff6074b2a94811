# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A project holds an object when its bytes were uploaded there; the digest alone opens nothing."""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action
from animus_contracts.datasets import StoredObject
from animus_contracts.digests import Digest
from animus_control.services.calls import Call, audited
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a download delivers.

    Attributes:
        digest: Of its bytes.
        size_bytes: How many.
        name: What they are called.
    """

    digest: Digest
    size_bytes: int
    name: str


@operation("executions.put_object")
@operation("objects.put")
def note_stored(uow: UnitOfWork, call: Call, stored: StoredObject) -> StoredObject:
    """Note that the call's project, or the project of its run, holds bytes that were just stored and hashed.

    Noting them again changes nothing and is not audited again.
    """
    claim = call.principal.run
    project_id = claim.project_id if claim else project_of(call).project_id
    if stored.digest not in uow.objects.sizes(project_id, [stored.digest]):
        uow.objects.add(project_id, stored, call.now)
        details = {"size_bytes": stored.size_bytes} | ({"run_id": claim.run_id} if claim else {})
        resource = f"object:{stored.digest}"
        uow.audit.append(audited(call, Action.OBJECT_STORED, resource, project_id=project_id, details=details))
    return stored
