"""A vendor of ours, a step to call it for, and a ledger between them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from db.pool import Pool, transaction
from db.repositories.executions import Executions
from db.repositories.steps import Steps
from pipeline.calls import Absence, CallRequest, Note, RawAnswer, SoughtCall, Verdict
from pipeline.domain import Charge, StageName
from pipeline.errors import Transient
from pipeline.providers.store import ObjectStore
from tests.integration.workers.runs import add_channel, begin
from workers.calls.book import Holder
from workers.calls.budgets import Limits
from workers.calls.ledger import CommittedCalls, Gate, LedgerOptions
from workers.calls.spool import Spool
from workers.calls.under_way import UnderWay
from workers.secrets import SecretKeys

KEYS = SecretKeys({"test": bytes(32)})
CANARY = b"The canary sings at noon."
PRICE = Decimal("0.25")


class Killed(BaseException):
    """The process ends here: nothing after it runs."""


@dataclass
class Vendor:
    """Counts what it does. `during` runs between the work and the answer; what it raises is what
    the caller sees of a call whose work is done."""

    sent: int = 0
    looked: int = 0
    searchable: bool = True
    keeps: bool = True
    work: dict[UUID, RawAnswer] = field(default_factory=dict)
    during: Callable[[UUID, Note], Awaitable[None]] | None = None
    refusal: Exception | None = None
    away: Exception | None = None
    body: bytes = CANARY

    def answer(self) -> RawAnswer:
        return RawAnswer(self.body, {"x-id": f"r{self.sent}"}, 7, datetime.now(UTC))


@dataclass
class SmallCall:
    """One call to the vendor: `text` goes out."""

    vendor: Vendor
    text: str = "hello"
    shard: int = 0
    occasion: int = 0
    most: Decimal = Decimal(1)
    patience: float = 30.0

    @property
    def request(self) -> CallRequest:
        return CallRequest(
            service="vendor",
            operation="work",
            content={"text": self.text},
            most=self.most,
            patience=self.patience,
            shard=self.shard,
            occasion=self.occasion,
        )

    async def send(self, call_id: UUID, note: Note) -> RawAnswer:
        vendor = self.vendor
        vendor.sent += 1
        if vendor.refusal is not None:
            raise vendor.refusal
        answer = vendor.answer()
        if vendor.keeps:
            vendor.work[call_id] = answer
        if vendor.during is not None:
            await vendor.during(call_id, note)
        return answer

    async def find(self, sought: SoughtCall) -> RawAnswer | Absence:
        self.vendor.looked += 1
        if self.vendor.away is not None:
            raise self.vendor.away
        if not self.vendor.searchable:
            return Absence.CANNOT_TELL
        return self.vendor.work.get(sought.id, Absence.NOT_MADE)

    def judge(self, answer: RawAnswer) -> Verdict:
        if answer.body == b"not ours":
            raise Transient("this did not come from the vendor")
        name = answer.headers["x-id"]
        charge = Charge("vendor", "work", PRICE, Decimal(1), "calls", request_id=name)
        return Verdict(charge, reference=name, reusable=answer.body != b"of no use")


@dataclass
class Bench:
    """A run's step on a database, and the ledgers of its claims."""

    pool: Pool
    folder: Path
    execution_id: UUID
    video_id: UUID
    stage: StageName = StageName.SCRIPT
    gates: Mapping[str, Gate] = field(default_factory=dict)
    under_way: UnderWay = field(default_factory=UnderWay)
    limits: Limits = field(default_factory=Limits)
    options: LedgerOptions = field(default_factory=LedgerOptions)

    async def claim(self, *, host: str = "host-a", pool: Pool | None = None) -> CommittedCalls:
        """Take the step anew, from a host with a disk of its own; its ledger."""
        opened = pool or self.pool
        async with transaction(opened) as connection:
            await Executions(connection).lock(execution_id=self.execution_id)
            taken = await Steps(connection).claim(
                execution_id=self.execution_id, step=self.stage, job_id=uuid4()
            )
        assert taken is not None
        scratch = self.folder / host / f"claim-{taken.fence}"
        scratch.mkdir(parents=True)
        holder = Holder(
            execution_id=self.execution_id,
            video_id=self.video_id,
            step_id=taken.id,
            stage=self.stage,
            fence=taken.fence,
            folder=f"videos/{self.video_id}",
            scratch=scratch,
        )
        return CommittedCalls(
            opened,
            holder,
            store=ObjectStore((self.folder / "artifacts").as_uri()),
            spool=Spool(self.spool(host), KEYS),
            gates=self.gates,
            under_way=self.under_way,
            limits=self.limits,
            options=self.options,
        )

    def spool(self, host: str = "host-a") -> Path:
        return self.folder / host / "spool"

    async def rows(self) -> list[Any]:
        return await self.pool.fetch("SELECT * FROM provider_calls ORDER BY created_at")

    async def statuses(self) -> list[str]:
        return [row["status"] for row in await self.rows()]

    async def booked(self) -> list[Decimal]:
        rows = await self.pool.fetch("SELECT amount FROM video_costs ORDER BY created_at")
        return [row["amount"] for row in rows]

    async def settle(self) -> None:
        """The time passes that a call may take."""
        await self.pool.execute("UPDATE provider_calls SET settle_at = clock_timestamp()")


async def make_bench(pool: Pool, folder: Path, *, channel: str = "tests") -> Bench:
    """A run that has come to its script."""
    if not await pool.fetchval("SELECT EXISTS (SELECT FROM channels WHERE name = $1)", channel):
        await add_channel(pool, channel)
    started = await begin(pool, channel=channel)
    await pool.execute(
        "UPDATE workflow_executions SET current_step = 'script', status = 'running' WHERE id = $1",
        started.execution_id,
    )
    return Bench(pool, folder, started.execution_id, started.video_id)
