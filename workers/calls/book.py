"""The rows of the call ledger, written under the fence of one claim.

Each method is a commit. What a call cost is booked in the commit of its outcome, so that the books
and the ledger cannot differ.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import structlog

from db.errors import Contended, DatabaseError, Unavailable
from db.pool import Connection, Pool, acquired, transaction
from db.repositories.calls import Calls, Try
from db.repositories.executions import Executions
from db.repositories.steps import Steps
from db.repositories.videos import Videos
from pipeline.calls import CallRequest, SoughtCall
from pipeline.domain import Artifact, Charge, ExecutionStatus, StageName
from pipeline.errors import LostClaim
from workers.calls.booking import book
from workers.calls.budgets import Limits, check_budget
from workers.queue.listening import pause_before

T = TypeVar("T")
NEARBY = timedelta(hours=1)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Holder:
    """The claim that the calls are made for. `folder` is the run's in the artifact store, `scratch`
    an existing folder of this claim."""

    execution_id: UUID
    video_id: UUID
    step_id: UUID
    stage: StageName
    fence: int
    folder: str
    scratch: Path


class CallBook:
    """The ledger's rows for one claim. Every method raises `LostClaim` when it is lost."""

    def __init__(self, pool: Pool, holder: Holder, *, limits: Limits, patience: float) -> None:
        self._pool = pool
        self._holder = holder
        self._limits = limits
        self._patience = patience

    async def tries(self, request: CallRequest) -> list[Try]:
        """The attempts at this call, oldest first."""
        async with acquired(self._pool) as connection:
            return await Calls(connection).list_tries(
                step_id=self._holder.step_id,
                operation=request.operation,
                shard=request.shard,
                request_hash=request_hash(request),
            )

    async def sought(self, request: CallRequest, known: Try) -> SoughtCall:
        """What a look-up must know of an attempt: also what is surely another's, this step's or any
        other's, that may lie in the same time at the vendor."""
        async with acquired(self._pool) as connection:
            booked = await Calls(connection).list_references(
                service=request.service, call_id=known.id, since=known.created_at - NEARBY
            )
        return SoughtCall(known.id, known.created_at, known.provider_ref, booked)

    async def check_budget(self, request: CallRequest) -> None:
        """A first look at what may be spent, before anything is waited for; see `check_budget`."""
        async with transaction(self._pool) as connection:
            await self._check_budget(connection, request, exactly=False)

    async def _check_budget(
        self, connection: Connection, request: CallRequest, *, exactly: bool
    ) -> None:
        await check_budget(
            connection,
            self._limits,
            video_id=self._holder.video_id,
            service=request.service,
            most=request.most,
            exactly=exactly,
        )

    async def intend(
        self, call_id: UUID, request: CallRequest, *, number: int, settles_after: float
    ) -> datetime:
        """Commit the intent, within what may be spent; when the call will have settled."""

        async def write(connection: Connection) -> datetime:
            await self._own(connection)
            await self._check_budget(connection, request, exactly=True)
            return await Calls(connection).insert(
                call_id=call_id,
                step_id=self._holder.step_id,
                service=request.service,
                operation=request.operation,
                request_hash=request_hash(request),
                shard=request.shard,
                try_no=number,
                amount_reserved=request.most,
                fence=self._holder.fence,
                settles_after_seconds=settles_after,
            )

        return await self._patiently(write, patience=0)

    async def assert_owned(self) -> None:
        """Raise `LostClaim` when the step is another's by now."""
        async with transaction(self._pool) as connection:
            await self._own(connection)

    async def note_reference(self, call_id: UUID, reference: str) -> None:
        """Keep the vendor's name for a call that is under way; nothing while the database is away:
        only a crash before the answer would miss it."""

        async def write(connection: Connection) -> None:
            await self._own(connection)
            await Calls(connection).note_reference(call_id=call_id, reference=reference)

        try:
            await self._patiently(write, patience=0)
        except (Unavailable, Contended) as error:
            log.warning("call.reference_lost", call=str(call_id), error=str(error))

    async def count_lookup(self, call_id: UUID) -> int:
        """Count a look-up that could not say anything; how many there were."""
        async with transaction(self._pool) as connection:
            await self._own(connection)
            return await Calls(connection).count_lookup(call_id=call_id)

    async def settle_within(self, call_id: UUID, seconds: float) -> None:
        """The call settles sooner; nothing while the database is away."""
        try:
            async with transaction(self._pool) as connection:
                await self._own(connection)
                await Calls(connection).settle_within(call_id=call_id, seconds=seconds)
        except DatabaseError as error:
            log.warning("call.settles_late", call=str(call_id), error=str(error))

    async def mark_unknown(self, call_id: UUID, error: str) -> None:
        """Nobody can tell what became of the call."""
        async with transaction(self._pool) as connection:
            await self._own(connection)
            await Calls(connection).mark_unknown(
                call_id=call_id, fence=self._holder.fence, error=error
            )

    async def mark_failed(self, call_id: UUID, error: str) -> None:
        """The call was not done and not charged. While the database is away it stays an intent,
        which settles and is looked up: safe, only slower."""

        async def write(connection: Connection) -> None:
            await self._own(connection)
            await Calls(connection).mark_failed(
                call_id=call_id,
                fence=self._holder.fence,
                amount=None,
                reference=None,
                error=error,
            )

        try:
            await self._patiently(write, patience=0)
        except (Unavailable, Contended) as away:
            log.warning("call.failure_lost", call=str(call_id), error=str(away))

    async def close(
        self, call_id: UUID, charge: Charge, *, reference: str | None, stored: Artifact | None
    ) -> None:
        """Commit the outcome with its charge; `stored` is the answer, None for one of no use.

        Waits for a database that is away. When the run has ended meanwhile nobody else would book
        the call: it is booked, and `LostClaim` raised.
        """
        holder = self._holder

        async def write(connection: Connection) -> bool:
            owned = await self._own(connection, ended_too=True)
            calls = Calls(connection)
            if stored is not None:
                await Videos(connection).upsert_artifact(video_id=holder.video_id, artifact=stored)
                await calls.mark_done(
                    call_id=call_id,
                    fence=holder.fence,
                    amount=charge.amount,
                    reference=reference,
                    url=stored.url,
                )
            else:
                await calls.mark_failed(
                    call_id=call_id,
                    fence=holder.fence,
                    amount=charge.amount,
                    reference=reference,
                    error="its answer is of no use",
                )
            await self._book(connection, charge)
            return owned

        if not await self._patiently(write, patience=self._patience):
            raise LostClaim(f"run {holder.execution_id} has ended; its last call is booked")

    async def book_charge(self, call_id: UUID, charge: Charge, *, reference: str | None) -> None:
        """Book what a call cost whose answer could not be stored; its outcome is still open."""

        async def write(connection: Connection) -> None:
            await self._own(connection, ended_too=True)
            if reference is not None:
                await Calls(connection).note_reference(call_id=call_id, reference=reference)
            await self._book(connection, charge)

        await self._patiently(write, patience=self._patience)

    async def _book(self, connection: Connection, charge: Charge) -> None:
        holder = self._holder
        await book(
            connection,
            (charge,),
            video_id=holder.video_id,
            execution_id=holder.execution_id,
            step_id=holder.step_id,
            stage=holder.stage,
        )
        await Calls(connection).sum_costs(step_id=holder.step_id)
        await Videos(connection).sum_cost(video_id=holder.video_id)

    async def _own(self, connection: Connection, *, ended_too: bool = False) -> bool:
        """Lock run and step, in the order of every claim; `LostClaim` when they are another's.

        `ended_too`: False instead when the run has ended.
        """
        holder = self._holder
        run = await Executions(connection).lock(execution_id=holder.execution_id)
        if await Steps(connection).owned(step_id=holder.step_id, fence=holder.fence):
            return True
        if ended_too and run is not None and ExecutionStatus(run.status).ended:
            return False
        raise LostClaim(f"step {holder.stage} of run {holder.execution_id} was taken over")

    async def _patiently(
        self, write: Callable[[Connection], Awaitable[T]], *, patience: float
    ) -> T:
        """A transaction around `write`, repeated while the database is away. `write` must do the
        same, however often it is done: an attempt whose COMMIT is unknown is followed by another.
        """
        deadline = time.monotonic() + patience
        attempt = 0
        while True:
            try:
                async with transaction(self._pool) as connection:
                    return await write(connection)
            except (Unavailable, Contended) as error:
                # Once more at least: a pool hands out a connection that died while it lay there.
                if attempt and time.monotonic() > deadline:
                    raise
                log.warning("ledger.waits", error=str(error), attempt=attempt)
                await asyncio.sleep(pause_before(attempt))
                attempt += 1


def request_hash(request: CallRequest) -> str:
    """The name of a call within its step: the SHA-256 of everything that it sends."""
    sent = {
        "service": request.service,
        "operation": request.operation,
        "occasion": request.occasion,
        "content": request.content,
    }
    # Escapes: half a surrogate pair has a JSON form and no UTF-8.
    canonical = json.dumps(sent, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
