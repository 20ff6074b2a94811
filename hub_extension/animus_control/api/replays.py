# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A replay begins only when everything it would read is there: the store is asked first, and what is gone is named."""

from __future__ import annotations

import asyncio

from animus_contracts.digests import Digest
from animus_contracts.problems import Fault
from animus_control.api.operation import OperationHandler
from animus_control.api.parsing import parse_idempotency_key
from animus_control.domain.errors import ConflictError
from animus_control.services import access, repeats

ASKED_AT_ONCE = 32
NAMED = 10


class ReplayHandler(OperationHandler):
    """Looks for the bytes of a run's inputs before it is replayed."""

    async def operate(self) -> None:
        """Refuse a replay whose inputs are not all there, then perform it like any other operation."""
        self.require_open()
        self.message()
        parse_idempotency_key(self.request.headers.get("Idempotency-Key"))
        call = self.call()
        needed = await self.read(lambda uow: repeats.bytes_for_replay(uow, access.enter(uow, call, self.endpoint)))
        asking = asyncio.Semaphore(ASKED_AT_ONCE)

        async def is_there(digest: Digest) -> bool:
            async with asking:
                return await self.edge.objects.size(digest) is not None

        digests = list(dict.fromkeys(digest for _, digest in needed))
        held = dict(zip(digests, await asyncio.gather(*map(is_there, digests)), strict=True))
        gone = [name for name, digest in needed if not held[digest]]
        if gone:
            faults = [Fault(path="$", code="bytes_gone", message=f"{name} is gone") for name in gone[:NAMED]]
            detail = f"{gone[0]} is gone" + (f", and {len(gone) - 1} more" if len(gone) > 1 else "")
            raise ConflictError(repeats.GONE, detail, faults=faults, remedy=repeats.MEND)
        await super().operate()

    post = operate
