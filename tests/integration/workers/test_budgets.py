"""Budgets over real Postgres: exact under concurrency, and told with their figures."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.pool import Pool, open_pool
from pipeline.calls import Note
from pipeline.errors import Deferred, OverBudget
from tests.integration.workers.ledgers import PRICE, Bench, SmallCall, Vendor, make_bench
from workers.calls.budgets import Limits
from workers.settings import Settings, SettingsError

WORKERS = 50


@pytest.fixture
async def bench(pool: Pool, tmp_path: Path) -> Bench:
    return await make_bench(pool, tmp_path)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
async def hosts(database_url: str) -> AsyncIterator[list[Pool]]:
    """As many workers on as many hosts."""
    opened = [await open_pool(database_url, min_size=0, max_size=4) for _ in range(5)]
    yield opened
    for pool in opened:
        await pool.close()


async def spend(bench: Bench, vendor: Vendor, amount: str, text: str = "hello") -> None:
    """Make a call that may cost so much; it costs `PRICE`."""
    calls = await bench.claim()
    await calls.make(SmallCall(vendor, text=text, most=Decimal(amount)))


def next_midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


async def test_video_over_its_limit_fails_with_the_figures_and_makes_no_call(
    bench: Bench, vendor: Vendor
) -> None:
    bench.limits = Limits(per_video=Decimal("1.20"))
    await spend(bench, vendor, "1")
    with pytest.raises(OverBudget) as caught:
        await spend(bench, vendor, "1", "second")
    told = str(caught.value)
    assert "YTEMPIRE_MAX_COST_PER_VIDEO is $1.200000: $0.250000 spent" in told
    assert "vendor may cost $1.000000" in told
    assert (vendor.sent, len(await bench.rows())) == (1, 1)
    await spend(bench, vendor, "0.95", "just fits")
    await spend(bench, vendor, "1")
    assert vendor.sent == 2, "a replay costs nothing"


async def test_day_over_its_limit_goes_on_the_next_day(bench: Bench, vendor: Vendor) -> None:
    bench.limits = Limits(per_day=Decimal("0.5"))
    await spend(bench, vendor, "0.5")
    before = next_midnight()
    with pytest.raises(Deferred, match=r"YTEMPIRE_MAX_COST_PER_DAY is \$0.500000") as caught:
        await spend(bench, vendor, "0.3", "second")
    assert caught.value.until in (before, next_midnight())
    await bench.pool.execute(
        "UPDATE video_costs SET created_at = date_trunc('day', clock_timestamp(), 'UTC')"
        " - interval '1 microsecond'"
    )
    await spend(bench, vendor, "0.3", "second")


async def test_channel_has_a_limit_of_its_own(bench: Bench, vendor: Vendor) -> None:
    await bench.pool.execute("UPDATE channels SET daily_budget = 0.5")
    other = await make_bench(bench.pool, bench.folder / "other", channel="other")
    await spend(bench, vendor, "0.5")
    with pytest.raises(Deferred, match=r"daily budget of channel 'tests' is \$0.500000"):
        await spend(bench, vendor, "0.3", "second")
    await spend(other, vendor, "7", "third")


async def test_call_of_unknown_end_keeps_its_reservation(bench: Bench, vendor: Vendor) -> None:
    bench.limits = Limits(per_day=Decimal("1.5"))
    await spend(bench, vendor, "1")
    await bench.pool.execute("UPDATE provider_calls SET status = 'unknown', amount_actual = NULL")
    await bench.pool.execute("DELETE FROM video_costs")
    with pytest.raises(Deferred, match=r"\$1.000000 held by calls of unknown end") as caught:
        await spend(bench, vendor, "0.6", "second")
    assert caught.value.until >= next_midnight() - timedelta(days=1)
    await spend(bench, vendor, "0.5", "second")


async def test_reservation_of_a_call_under_way_is_waited_for_and_not_until_tomorrow(
    bench: Bench, vendor: Vendor
) -> None:
    bench.limits = Limits(per_day=Decimal(1))
    other = await make_bench(bench.pool, bench.folder / "other")
    other.limits = bench.limits

    async def meanwhile(call_id: object, note: Note) -> None:
        vendor.during = None
        with pytest.raises(Deferred, match=r"\$1.000000 reserved by calls under way") as caught:
            await spend(other, vendor, "0.5", "second")
        assert caught.value.until - datetime.now(UTC) <= timedelta(seconds=30)

    vendor.during = meanwhile
    await spend(bench, vendor, "1")
    await spend(other, vendor, "0.5", "second")
    assert vendor.sent == 2


async def test_vendor_that_costs_nothing_needs_no_budget(bench: Bench, vendor: Vendor) -> None:
    bench.limits = Limits(per_video=Decimal(0), per_day=Decimal(0))
    calls = await bench.claim()
    await calls.make(SmallCall(vendor, most=Decimal(0)))
    with pytest.raises(OverBudget):
        await calls.make(SmallCall(vendor, text="dear", most=Decimal("0.000001")))


class Crowded(Vendor):
    """Holds every call until all workers have had their turn, as the worst of races."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.during = self.hold

    async def hold(self, call_id: object, note: Note) -> None:
        await self.open.wait()


@pytest.mark.parametrize("limited", ["day", "channel"])
async def test_fifty_workers_never_spend_more_than_a_limit(
    bench: Bench, hosts: list[Pool], limited: str
) -> None:
    limits = Limits(per_day=Decimal(10)) if limited == "day" else Limits()
    if limited == "channel":
        await bench.pool.execute("UPDATE channels SET daily_budget = 10")
    vendor = Crowded()
    benches = [await make_bench(bench.pool, bench.folder / str(n)) for n in range(WORKERS)]
    ledgers = []
    for n, each in enumerate(benches):
        each.limits = limits
        ledgers.append(await each.claim(pool=hosts[n % len(hosts)]))
    tries: list[asyncio.Task[Any]] = [
        asyncio.create_task(calls.make(SmallCall(vendor, text=str(n))))
        for n, calls in enumerate(ledgers)
    ]
    while sum(one.done() for one in tries) + vendor.sent < WORKERS:
        await asyncio.sleep(0.01)
    assert vendor.sent == 10, "ten calls of at most one dollar"
    reserved = await bench.pool.fetchval("SELECT sum(amount_reserved) FROM provider_calls")
    assert reserved == 10
    vendor.open.set()
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Deferred) for one in ended) == WORKERS - 10
    assert sum(await bench.booked()) == 10 * PRICE

    # All the others want on at once, again and again, until the limit is reached for good.
    left = [calls for calls, one in zip(ledgers, ended, strict=True) if isinstance(one, Deferred)]
    while True:
        results = await asyncio.gather(
            *(calls.make(SmallCall(vendor, text=f"{i}")) for i, calls in enumerate(left)),
            return_exceptions=True,
        )
        spent = sum(await bench.booked())
        assert spent <= 10
        assert {type(one) for one in results if isinstance(one, Exception)} <= {Deferred}
        left = [
            calls for calls, one in zip(left, results, strict=True) if isinstance(one, Deferred)
        ]
        if spent > 9:
            break
    assert spent == Decimal("9.25"), "the next could have cost a dollar"


@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity", "many", "1e9"])
def test_limit_that_is_no_amount_is_refused_by_its_name(text: str) -> None:
    for variable in ("YTEMPIRE_MAX_COST_PER_VIDEO", "YTEMPIRE_MAX_COST_PER_DAY"):
        with pytest.raises(SettingsError, match=variable):
            Settings.from_env({variable: text})
    assert Settings.from_env({"YTEMPIRE_MAX_COST_PER_DAY": "2.50"}).max_cost_per_day == Decimal(
        "2.5"
    )
