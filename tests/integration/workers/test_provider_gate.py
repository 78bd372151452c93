"""The gate over real Postgres: one pause, one probe, and never more calls than slots."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from db.pool import open_pool
from pipeline.domain import Charge
from pipeline.errors import Deferred, OutOfCredit, Rejected, StageError, Transient
from workers.calls.gate import GateOptions, ProviderGate

OPTIONS = GateOptions(poll=0.01)
CHARGE = Charge("vendor", "call", Decimal(1), Decimal(1), "calls")


@pytest.fixture
async def pools(database_url: str) -> AsyncIterator[list[Any]]:
    """As many workers on as many hosts."""
    opened = [await open_pool(database_url, max_size=4) for _ in range(3)]
    try:
        yield opened
    finally:
        for pool in opened:
            await pool.close()


def gates(pools: list[Any], concurrency: int = 2, **options: Any) -> list[ProviderGate]:
    return [
        ProviderGate(pool, "vendor", concurrency=concurrency, options=replace(OPTIONS, **options))
        for pool in pools
    ]


def out_of_credit() -> OutOfCredit:
    return OutOfCredit(
        "vendor is out of credit: pay", until=datetime.now(UTC), service="vendor", remedy="pay"
    )


class Vendor:
    """Counts its calls, at one time and in all; raises what it is told to."""

    def __init__(self) -> None:
        self.now = self.most = self.calls = 0
        self.refusal: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def call(self) -> str:
        self.now += 1
        self.calls += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
            await asyncio.sleep(0.01)
            if self.refusal is not None:
                raise self.refusal
            return "done"
        finally:
            self.now -= 1


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def pass_an_hour(pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE provider_state SET paused_until = clock_timestamp() - interval '1s'")


async def test_never_more_calls_than_slots_over_all_workers(pools: list[Any]) -> None:
    vendor = Vendor()
    both = gates(pools, concurrency=2)
    done = await asyncio.gather(*(both[i % 3].run(vendor.call) for i in range(18)))
    assert done == ["done"] * 18
    assert vendor.most == 2
    assert await pools[0].fetchval("SELECT count(*) FROM provider_slots WHERE holder IS NULL") == 2


async def test_limit_in_the_vendors_row_wins(pools: list[Any]) -> None:
    vendor = Vendor()
    await gates(pools)[0].run(vendor.call)
    await pools[0].execute("UPDATE provider_state SET max_concurrency = 1")
    await asyncio.gather(*(gate.run(vendor.call) for gate in gates(pools)))
    assert vendor.most == 1


async def test_no_connection_is_held_while_a_call_runs(database_url: str) -> None:
    pool = await open_pool(database_url, min_size=1, max_size=1)
    try:
        vendor = Vendor()
        vendor.open.clear()
        (gate,) = gates([pool])
        calling = asyncio.create_task(gate.run(vendor.call))
        await until(lambda: vendor.now)
        assert await pool.fetchval("SELECT 1", timeout=10) == 1
        vendor.open.set()
        assert await calling == "done"
    finally:
        await pool.close()


async def test_crowd_that_waits_too_long_is_deferred_without_calling(pools: list[Any]) -> None:
    vendor = Vendor()
    vendor.open.clear()
    first, second, _ = gates(pools, concurrency=1, patience=0.05)
    calling = asyncio.create_task(first.run(vendor.call))
    await until(lambda: vendor.now)
    with pytest.raises(Deferred, match="same time"):
        await second.run(vendor.call)
    vendor.open.set()
    await calling
    assert vendor.calls == 1
    assert await second.run(vendor.call) == "done"


async def test_lease_of_a_killed_holder_runs_out(pools: list[Any]) -> None:
    vendor = Vendor()
    (gate, *_) = gates(pools, concurrency=1)
    await gate.run(vendor.call)
    await pools[0].execute(
        "UPDATE provider_slots SET holder = 'killed', leased_until = clock_timestamp() + '1h'"
    )
    waiting = asyncio.create_task(gate.run(vendor.call))
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    await pools[0].execute("UPDATE provider_slots SET leased_until = clock_timestamp()")
    assert await waiting == "done"


async def test_living_holder_keeps_its_lease(pools: list[Any]) -> None:
    vendor = Vendor()
    vendor.open.clear()
    first, second, _ = gates(pools, concurrency=1, lease=0.4, patience=1.5)
    calling = asyncio.create_task(first.run(vendor.call))
    await until(lambda: vendor.now)
    with pytest.raises(Deferred):
        await second.run(vendor.call)
    vendor.open.set()
    await calling
    assert vendor.most == 1


async def test_cancelled_call_gives_its_slot_back(pools: list[Any]) -> None:
    vendor = Vendor()
    vendor.open.clear()
    (gate, *_) = gates(pools, concurrency=1)
    calling = asyncio.create_task(gate.run(vendor.call))
    await until(lambda: vendor.now)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    vendor.open.set()
    assert await gate.run(vendor.call) == "done"


async def test_out_of_credit_pauses_the_vendor_for_everyone_and_tells_once(
    pools: list[Any],
) -> None:
    vendor = Vendor()
    all_gates = gates(pools, concurrency=3)
    vendor.refusal = out_of_credit()
    ended = await asyncio.gather(
        *(gate.run(vendor.call) for gate in all_gates), return_exceptions=True
    )
    assert {type(one) for one in ended} <= {OutOfCredit, Deferred}
    calls = vendor.calls
    vendor.refusal = None
    for gate in all_gates:
        with pytest.raises(Deferred, match="out of credit") as caught:
            await gate.run(vendor.call)
        wait = caught.value.until - datetime.now(UTC)
        assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    assert vendor.calls == calls
    rows = await pools[0].fetch("SELECT title, message, is_read FROM notifications")
    assert [(row["title"], row["is_read"]) for row in rows] == [("vendor is out of credit", False)]
    assert "pay" in rows[0]["message"]


async def test_one_probe_an_hour_over_all_workers(pools: list[Any]) -> None:
    vendor = Vendor()
    all_gates = gates(pools, concurrency=9)
    vendor.refusal = out_of_credit()
    with pytest.raises(OutOfCredit):
        await all_gates[0].run(vendor.call)
    for _ in range(3):
        await pass_an_hour(pools[0])
        before = vendor.calls
        vendor.open.clear()
        tries = [asyncio.create_task(all_gates[i % 3].run(vendor.call)) for i in range(9)]
        await until(lambda: sum(one.done() for one in tries) == 8)  # noqa: B023
        vendor.open.set()
        ended = await asyncio.gather(*tries, return_exceptions=True)
        assert vendor.calls == before + 1
        assert sum(isinstance(one, OutOfCredit) for one in ended) == 1
        assert all(isinstance(one, Deferred) for one in ended)
    assert await pools[0].fetchval("SELECT count(*) FROM notifications") == 1


async def test_probe_that_succeeds_opens_the_gate_and_settles_the_notification(
    pools: list[Any],
) -> None:
    vendor = Vendor()
    first, second, third = gates(pools)
    vendor.refusal = out_of_credit()
    with pytest.raises(OutOfCredit):
        await first.run(vendor.call)
    await pass_an_hour(pools[0])
    vendor.refusal = None
    assert await second.run(vendor.call) == "done"
    assert await third.run(vendor.call) == "done"
    assert await pools[0].fetchval("SELECT bool_and(is_read) FROM notifications")
    vendor.refusal = out_of_credit()
    with pytest.raises(OutOfCredit):
        await first.run(vendor.call)
    assert await pools[0].fetchval("SELECT count(*) FROM notifications WHERE NOT is_read") == 1


@pytest.mark.parametrize(
    ("refusal", "opens"),
    [
        (Rejected("refused", charges=(CHARGE,)), True),
        (Transient("no answer"), False),
        (RuntimeError("a bug"), False),
    ],
)
async def test_probe_opens_the_gate_only_when_the_vendor_charged(
    pools: list[Any], refusal: Exception, opens: bool
) -> None:
    vendor = Vendor()
    (gate, *_) = gates(pools)
    vendor.refusal = out_of_credit()
    with pytest.raises(OutOfCredit):
        await gate.run(vendor.call)
    await pass_an_hour(pools[0])
    vendor.refusal = refusal
    with pytest.raises(type(refusal)):
        await gate.run(vendor.call)
    vendor.refusal = None
    if opens:
        assert await gate.run(vendor.call) == "done"
    else:
        with pytest.raises(Deferred):
            await gate.run(vendor.call)


async def test_killed_probe_is_followed_by_another(pools: list[Any]) -> None:
    vendor = Vendor()
    (gate, *_) = gates(pools)
    vendor.refusal = out_of_credit()
    with pytest.raises(OutOfCredit):
        await gate.run(vendor.call)
    await pass_an_hour(pools[0])
    await pools[0].execute("UPDATE provider_state SET probe_until = clock_timestamp() + '1 min'")
    vendor.refusal = None
    with pytest.raises(Deferred) as caught:
        await gate.run(vendor.call)
    assert caught.value.until - datetime.now(UTC) < timedelta(minutes=1)
    await pools[0].execute("UPDATE provider_state SET probe_until = clock_timestamp()")
    assert await gate.run(vendor.call) == "done"


async def test_paid_answer_survives_a_database_that_goes_away(database_url: str) -> None:
    pool = await open_pool(database_url, min_size=1, max_size=2)
    vendor = Vendor()
    (gate,) = gates([pool])
    vendor.refusal = out_of_credit()
    with pytest.raises(OutOfCredit):
        await gate.run(vendor.call)
    await pass_an_hour(pool)
    vendor.refusal = None

    async def call() -> str:
        pool.terminate()
        return "paid"

    assert await gate.run(call) == "paid"


async def test_error_of_a_call_leaves_as_it_is(pools: list[Any]) -> None:
    vendor = Vendor()
    vendor.refusal = Rejected("no such voice", charges=(CHARGE,))
    with pytest.raises(StageError) as caught:
        await gates(pools)[0].run(vendor.call)
    assert caught.value is vendor.refusal
