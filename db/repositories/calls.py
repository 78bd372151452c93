"""The call ledger: `provider_calls`. An intent is committed before a call, its outcome after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("call")


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt at a call; `sha256` and `size_bytes` are those of the stored answer at `url`.

    `settled` is whether `settle_at` has passed by the database's clock; `lookups` counts those
    that could not say anything. `amount_reserved` in US dollars.
    """

    id: UUID
    try_no: int
    status: str
    provider_ref: str | None
    amount_reserved: Decimal
    settle_at: datetime
    lookups: int
    created_at: datetime
    settled: bool
    url: str | None
    sha256: str | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call without a known end, as a person looks at it."""

    id: UUID
    execution_id: UUID
    step: str
    service: str
    operation: str
    status: str
    try_no: int
    provider_ref: str | None
    amount_reserved: Decimal
    error_message: str | None
    created_at: datetime
    settle_at: datetime
    run_status: str


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call and what it was made for."""

    id: UUID
    step_id: UUID
    execution_id: UUID
    step: str
    video_id: UUID | None
    service: str
    operation: str
    status: str
    amount_reserved: Decimal
    settle_at: datetime
    settled: bool


ROWS = {"call_list_tries": Try, "call_list_open": OpenCall, "call_find": FoundCall}


class Calls:
    """Statements of `call.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_tries(
        self, *, step_id: UUID, operation: str, shard: int, request_hash: str
    ) -> list[Try]:
        """Every attempt at this call of the step, oldest first."""
        rows = await _SQL["call_list_tries"].many(
            self._connection,
            step_id=step_id,
            operation=operation,
            shard=shard,
            request_hash=request_hash,
        )
        return [Try(**row) for row in rows]

    async def insert(
        self,
        *,
        call_id: UUID,
        step_id: UUID,
        service: str,
        operation: str,
        request_hash: str,
        shard: int,
        try_no: int,
        amount_reserved: Decimal,
        fence: int,
        settles_after_seconds: float,
    ) -> datetime:
        """An intent; when it settles. A repeat with the same id changes nothing.

        Raises `UniqueViolated` when another intent has this `try_no`.
        """
        row = await _SQL["call_insert"].one(
            self._connection,
            call_id=call_id,
            step_id=step_id,
            service=service,
            operation=operation,
            request_hash=request_hash,
            shard=shard,
            try_no=try_no,
            amount_reserved=amount_reserved,
            fence=fence,
            settles_after_seconds=settles_after_seconds,
        )
        settle_at: datetime = row["settle_at"]
        return settle_at

    async def note_reference(self, *, call_id: UUID, reference: str) -> None:
        await _SQL["call_note_reference"].exec(
            self._connection, call_id=call_id, reference=reference
        )

    async def mark_done(
        self, *, call_id: UUID, fence: int, amount: Decimal, reference: str | None, url: str
    ) -> bool:
        """False when the call has an outcome already."""
        return bool(
            await _SQL["call_mark_done"].exec(
                self._connection,
                call_id=call_id,
                fence=fence,
                amount=amount,
                reference=reference,
                url=url,
            )
        )

    async def mark_failed(
        self,
        *,
        call_id: UUID,
        fence: int,
        amount: Decimal | None,
        reference: str | None,
        error: str,
    ) -> bool:
        """False when the call has an outcome already."""
        return bool(
            await _SQL["call_mark_failed"].exec(
                self._connection,
                call_id=call_id,
                fence=fence,
                amount=amount,
                reference=reference,
                error=error,
            )
        )

    async def mark_unknown(self, *, call_id: UUID, fence: int, error: str) -> bool:
        """False when the call has an outcome already."""
        return bool(
            await _SQL["call_mark_unknown"].exec(
                self._connection, call_id=call_id, fence=fence, error=error
            )
        )

    async def settle_within(self, *, call_id: UUID, seconds: float) -> None:
        await _SQL["call_settle_within"].exec(self._connection, call_id=call_id, seconds=seconds)

    async def count_lookup(self, *, call_id: UUID) -> int:
        """How many look-ups could not say anything, this one included."""
        row = await _SQL["call_count_lookup"].one(self._connection, call_id=call_id)
        n: int = row["lookups"]
        return n

    async def list_references(
        self, *, service: str, call_id: UUID, since: datetime
    ) -> frozenset[str]:
        rows = await _SQL["call_list_references"].many(
            self._connection, service=service, call_id=call_id, since=since
        )
        return frozenset(row["provider_ref"] for row in rows)

    async def set_aside(self, *, step_id: UUID, reason: str) -> int:
        """Make a repeat of the step ask anew; how many answers there were."""
        return await _SQL["call_set_aside"].exec(self._connection, step_id=step_id, reason=reason)

    async def sum_costs(self, *, step_id: UUID) -> None:
        await _SQL["call_sum_costs"].exec(self._connection, step_id=step_id)

    async def list_open(self) -> list[OpenCall]:
        return [OpenCall(**row) for row in await _SQL["call_list_open"].many(self._connection)]

    async def list_ids_like(self, *, prefix: str) -> list[UUID]:
        """At most two ids that begin with the prefix."""
        rows = await _SQL["call_list_ids_like"].many(self._connection, prefix=prefix)
        return [row["id"] for row in rows]

    async def find(self, *, call_id: UUID) -> FoundCall:
        return FoundCall(**await _SQL["call_find"].one(self._connection, call_id=call_id))

    async def resolve(self, *, call_id: UUID, amount: Decimal | None, error: str) -> bool:
        """False when the call has an outcome, or may still take effect."""
        return bool(
            await _SQL["call_resolve"].exec(
                self._connection, call_id=call_id, amount=amount, error=error
            )
        )

    async def list_closed(self, *, call_ids: Sequence[UUID]) -> list[UUID]:
        """Those of the calls that have their outcome."""
        rows = await _SQL["call_list_closed"].many(self._connection, call_ids=call_ids)
        return [row["id"] for row in rows]
