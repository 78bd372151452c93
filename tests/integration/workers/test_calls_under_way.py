"""Paid calls and people: a cancel in the middle of a call, and what a retry pays again."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from db.repositories.steps import Steps
from pipeline.calls import Note
from pipeline.domain import StageName
from pipeline.errors import Rejected
from tests.integration.workers.ledgers import PRICE, Bench, SmallCall, Vendor, make_bench
from tests.integration.workers.runs import value
from workers.calls import under_way
from workers.runs.control import cancel_run
from workers.runs.retry import RetryPlan, retry_run


@pytest.fixture
async def bench(pool: Pool, tmp_path: Path) -> Bench:
    return await make_bench(pool, tmp_path)


class Slow(Vendor):
    """A vendor that has begun, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let = asyncio.Event(), asyncio.Event()

        async def during(call_id: UUID, note: Note) -> None:
            self.begun.set()
            await self.let.wait()

        self.during = during


async def cancel(bench: Bench) -> None:
    async with transaction(bench.pool) as connection:
        await cancel_run(connection, bench.execution_id, by="ada")


async def retry(bench: Bench, from_step: StageName | None = None) -> RetryPlan:
    async with transaction(bench.pool) as connection:
        return await retry_run(connection, bench.execution_id, from_step=from_step)


async def test_call_in_flight_is_booked_although_its_run_was_cancelled(bench: Bench) -> None:
    vendor = Slow()
    stage = asyncio.create_task((await bench.claim()).make(SmallCall(vendor)))
    await vendor.begun.wait()
    await cancel(bench)
    stage.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await stage
    assert await bench.booked() == []

    vendor.let.set()
    await bench.under_way.close()
    assert await bench.booked() == [PRICE]
    assert await bench.statuses() == ["done"]
    assert await value(bench.pool, "SELECT cost FROM workflow_executions") == PRICE
    assert await value(bench.pool, "SELECT status FROM workflow_executions") == "cancelled"

    await retry(bench)
    await (await bench.claim()).make(SmallCall(vendor))
    assert vendor.sent == 1


async def test_worker_that_ends_cuts_a_call_off_after_a_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way, "CLOSE_PATIENCE_SECONDS", 0.05)
    vendor = Slow()
    stage = asyncio.create_task((await bench.claim()).make(SmallCall(vendor)))
    await vendor.begun.wait()
    stage.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage
    await bench.under_way.close()
    assert await bench.statuses() == ["intent"]


async def test_step_that_is_done_again_asks_again_and_an_unfinished_one_does_not(
    bench: Bench,
) -> None:
    vendor = Vendor()
    calls = await bench.claim()
    await calls.make(SmallCall(vendor))
    await cancel(bench)
    assert (await retry(bench)).estimate == 0
    calls = await bench.claim()
    await calls.make(SmallCall(vendor))
    assert vendor.sent == 1

    async with transaction(bench.pool) as connection:
        found = await Steps(connection).find(execution_id=bench.execution_id, step=bench.stage)
        assert found is not None
        await Steps(connection).mark_succeeded(step_id=found.id, fence=found.fence, output={})
        await connection.execute("UPDATE workflow_executions SET current_step = 'voice'")
    await cancel(bench)
    assert (await retry(bench, bench.stage)).estimate == PRICE
    await (await bench.claim()).make(SmallCall(vendor))
    assert vendor.sent == 2
    assert await bench.booked() == [PRICE, PRICE]


async def test_answers_that_were_set_aside_are_paid_again(bench: Bench) -> None:
    from db.repositories.calls import Calls

    vendor = Vendor()
    await (await bench.claim()).make(SmallCall(vendor))
    async with transaction(bench.pool) as connection:
        found = await Steps(connection).find(execution_id=bench.execution_id, step=bench.stage)
        assert found is not None
        await Calls(connection).set_aside(step_id=found.id, reason=Rejected.__name__)
    await cancel(bench)
    assert (await retry(bench)).estimate == PRICE
