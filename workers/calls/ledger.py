"""The call ledger on `provider_calls`: intent committed, then the call, then its outcome.

    make     an answer of an earlier attempt is used again; one whose end is unknown is found out
             about; only then the call is made
    attempt  through the vendor's gate: intent, call, answer spooled, answer stored, outcome
             committed with its charge

Every commit is made under the step's fence. A process may die between any two lines: before the
intent nothing was paid, after it the call settles and is looked up, after the answer it is in the
spool, after the outcome it is in the artifact store.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

import structlog

from db.pool import Pool
from db.repositories.calls import Try
from pipeline.calls import Absence, Answered, CallRequest, RawAnswer, Verdict
from pipeline.domain import Artifact, ArtifactKind
from pipeline.errors import (
    Ambiguous,
    Deferred,
    LostClaim,
    Rejected,
    StageError,
    Transient,
    Waiting,
)
from pipeline.failpoints import Point, reach
from pipeline.ports import ArtifactStore, PaidCall
from pipeline.providers.durable import disk_trouble
from workers.calls.book import CallBook, Holder
from workers.calls.budgets import Limits
from workers.calls.spool import Spool, decode_answer, encode_answer
from workers.calls.under_way import UnderWay

T = TypeVar("T")
log = structlog.get_logger()

ANSWER_TYPE = "application/json"


class Gate(Protocol):
    """What lets a vendor's calls pass, or says when they may."""

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call; `Deferred` without making it while the gate is shut."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """Times in seconds, and counts.

    A call settles `margin` after nobody waits for its answer, and `answered` after the vendor's
    side gave up on it. After `tries` attempts that nobody can tell the end of, a person must.
    `lookups` that fail count as one that cannot tell; `lookup_wait` lies between them. An outcome
    waits `patience` for a database that is away. An intent older than `stale` is checked again
    right before the call: whoever was stopped in between for as long as a lease is much older.
    """

    margin: float = 60.0
    answered: float = 5.0
    tries: int = 3
    lookups: int = 5
    lookup_wait: float = 30.0
    patience: float = 600.0
    stale: float = 1.0


class CommittedCalls:
    """Implements `CallLedger` for one claim of a step."""

    def __init__(
        self,
        pool: Pool,
        holder: Holder,
        *,
        store: ArtifactStore,
        spool: Spool,
        gates: Mapping[str, Gate],
        under_way: UnderWay,
        limits: Limits,
        options: LedgerOptions | None = None,
    ) -> None:
        self._options = options or LedgerOptions()
        self._book = CallBook(pool, holder, limits=limits, patience=self._options.patience)
        self._holder = holder
        self._store = store
        self._spool = spool
        self._gates = gates
        self._under_way = under_way

    async def make(self, call: PaidCall) -> Answered:
        """See `CallLedger`."""
        request = call.request
        tries = await self._book.tries(request)
        for known in tries:
            if known.status == "done":
                answered = await self._replay(call, known)
                if answered is not None:
                    return answered
        for known in tries:
            if known.status in ("intent", "unknown"):
                answered = await self._find_out(call, known)
                if answered is not None:
                    return answered
                tries = await self._book.tries(request)
        self._refuse_hopeless(request, tries)
        # Looked at before the gate as well: whoever cannot pay holds no slot and is no probe.
        await self._book.check_budget(request)
        number = max((known.try_no for known in tries), default=0) + 1
        gate = self._gates.get(request.service)
        if gate is None:
            return await self._attempt(call, number)
        return await gate.run(lambda: self._attempt(call, number))

    def _refuse_hopeless(self, request: CallRequest, tries: list[Try]) -> None:
        unknown = [str(known.id)[:8] for known in tries if known.status == "unknown"]
        if len(unknown) >= self._options.tries:
            raise Waiting(
                f"{request.service} was asked {len(unknown)} times for {request.operation}, and"
                f" nobody knows what became of it (calls {', '.join(unknown)}): find out at"
                f" {request.service}, then ytempire unknown resolve ID"
            )

    async def _replay(self, call: PaidCall, known: Try) -> Answered | None:
        """The stored answer, read as it was the first time; None when it is lost for good."""
        try:
            answer = await self._stored(known)
        except (Rejected, ValueError) as error:
            # Paid for, and damaged since: the vendor may still have it.
            log.warning("call.answer_damaged", call=str(known.id), error=str(error))
            found = await call.find(await self._book.sought(call.request, known))
            if isinstance(found, Absence):
                return None
            answer = found
        log.info("call.replayed", call=str(known.id), service=call.request.service)
        return _answered(known.id, answer, call.judge(answer))

    async def _stored(self, known: Try) -> RawAnswer:
        if known.url is None or known.sha256 is None or known.size_bytes is None:
            raise Rejected(f"the answer of call {known.id} is not among the run's artifacts")
        artifact = Artifact(
            ArtifactKind.OTHER, known.sha256, known.size_bytes, ANSWER_TYPE, known.url
        )
        file = await self._store.fetch(artifact, folder=self._holder.scratch)
        return decode_answer(await asyncio.to_thread(file.read_bytes))

    async def _find_out(self, call: PaidCall, known: Try) -> Answered | None:
        """What became of an attempt without an outcome: its answer, or None when it may be made
        again. Raises `Deferred` as long as it may still take effect."""
        spooled = await self._spool.find(known.id)
        if spooled is not None:
            log.info("call.adopted", call=str(known.id), by="spool")
            return await self._outcome(call, known.id, spooled)
        if known.status == "unknown":
            return None
        vendor = call.request.service
        if known.amount_reserved == 0:
            await self._book.mark_failed(known.id, "it did not end, and costs nothing")
            return None
        if not known.settled and known.provider_ref is None:
            raise Deferred(
                f"a call to {vendor} was cut off and may still take effect there; once it has"
                " settled, its effect is looked up",
                until=known.settle_at,
            )
        found = await self._look_up(call, known)
        if isinstance(found, RawAnswer):
            log.info("call.adopted", call=str(known.id), by="look-up")
            await self._spool.keep(known.id, found)
            return await self._outcome(call, known.id, found)
        log.info("call.not_found", call=str(known.id), why=found.value)
        if found is Absence.NOT_MADE:
            await self._book.mark_failed(known.id, f"{vendor} has not done it")
        else:
            await self._book.mark_unknown(known.id, f"{vendor} cannot tell whether it did it")
        return None

    async def _look_up(self, call: PaidCall, known: Try) -> RawAnswer | Absence:
        try:
            return await call.find(await self._book.sought(call.request, known))
        except (Waiting, LostClaim, Deferred):
            raise
        except StageError as error:
            if await self._book.count_lookup(known.id) >= self._options.lookups:
                return Absence.CANNOT_TELL
            raise Deferred(
                f"what became of a call to {call.request.service} cannot be looked up now: {error}",
                until=datetime.now(UTC) + timedelta(seconds=self._options.lookup_wait),
            ) from error

    async def _attempt(self, call: PaidCall, number: int) -> Answered:
        request, call_id = call.request, uuid4()
        began = time.monotonic()
        settle_at = await self._book.intend(
            call_id,
            request,
            number=number,
            settles_after=request.patience + self._options.margin,
        )
        await reach(Point.AFTER_INTENT, self._holder.stage)
        if time.monotonic() - began > self._options.stale:
            # Stopped in between for long: somebody else may be at it by now.
            await self._book.assert_owned()
        return await self._under_way.finish(self._send(call, call_id, settle_at))

    async def _send(self, call: PaidCall, call_id: UUID, settle_at: datetime) -> Answered:
        """Send, keep the answer, commit the outcome: once begun, not to be left off."""

        async def note(reference: str) -> None:
            await self._book.note_reference(call_id, reference)

        try:
            answer = await call.send(call_id, note)
            await reach(Point.AFTER_SEND, self._holder.stage)
        except Ambiguous as error:
            raise await self._unsettled(call_id, call.request, settle_at, error) from error
        except LostClaim:
            raise
        except StageError as error:
            await self._book.mark_failed(call_id, str(error))
            raise
        await self._spool.keep(call_id, answer)
        await reach(Point.AFTER_RESPONSE, self._holder.stage)
        return await self._outcome(call, call_id, answer)

    async def _unsettled(
        self, call_id: UUID, request: CallRequest, settle_at: datetime, error: Ambiguous
    ) -> StageError:
        """What an ambiguous end means for the step."""
        log.warning("call.ambiguous", call=str(call_id), error=str(error))
        if request.most == 0:
            await self._book.mark_failed(call_id, str(error))
            return Transient(str(error), retry_after=error.retry_after)
        if error.answered:
            await self._book.settle_within(call_id, self._options.answered)
            return Transient(str(error), retry_after=error.retry_after)
        return Deferred(f"{error}; once it has settled, its effect is looked up", until=settle_at)

    async def _outcome(self, call: PaidCall, call_id: UUID, answer: RawAnswer) -> Answered:
        """Commit what came of a call, with its charge; then nobody needs the spooled answer."""
        try:
            verdict = call.judge(answer)
        except Ambiguous as error:
            await self._spool.drop(call_id)
            at_once = datetime.now(UTC)
            raise await self._unsettled(call_id, call.request, at_once, error) from error
        except StageError as error:
            await self._book.mark_failed(call_id, str(error))
            await self._spool.drop(call_id)
            raise
        answered = _answered(call_id, answer, verdict)
        try:
            stored = await self._store_answer(answer) if verdict.reusable else None
        except StageError:
            # The money is spent; the answer is in the spool, and at the vendor under its name.
            await self._book.book_charge(call_id, answered.charge, reference=verdict.reference)
            raise
        await self._book.close(call_id, answered.charge, reference=verdict.reference, stored=stored)
        await self._spool.drop(call_id)
        return answered

    async def _store_answer(self, answer: RawAnswer) -> Artifact:
        file = self._holder.scratch / f"answer-{uuid4().hex}.json"
        try:
            with disk_trouble("keeping an answer that was paid for", datetime.now(UTC)):
                await asyncio.to_thread(file.write_bytes, encode_answer(answer))
            return await self._store.put(
                file,
                folder=self._holder.folder,
                kind=ArtifactKind.OTHER,
                media_type=ANSWER_TYPE,
            )
        finally:
            await asyncio.to_thread(file.unlink, missing_ok=True)


def _answered(call_id: UUID, answer: RawAnswer, verdict: Verdict) -> Answered:
    return Answered(answer, replace(verdict.charge, call_id=call_id))
