"""The call ledger over real Postgres, disk and artifact store: nothing is paid twice knowingly."""

import asyncio
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.errors import Unavailable
from db.pool import Pool, open_pool, transaction
from pipeline.calls import Note
from pipeline.domain import StageName
from pipeline.errors import Ambiguous, Deferred, LostClaim, Rejected, Transient, Waiting
from tests.integration.workers.ledgers import (
    CANARY,
    KEYS,
    PRICE,
    Bench,
    Killed,
    SmallCall,
    Vendor,
    make_bench,
)
from tests.services.postgres import SessionFolder
from tests.services.queue_postgres import MortalServer
from workers.calls.gate import ProviderGate
from workers.calls.ledger import LedgerOptions
from workers.calls.spool import Spool, sweep_spool
from workers.runs.retry import retry_run


@pytest.fixture
async def bench(pool: Pool, tmp_path: Path) -> Bench:
    return await make_bench(pool, tmp_path)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


async def killed(call_id: UUID, note: Note) -> None:
    raise Killed


async def die_in_call(bench: Bench, vendor: Vendor, **changes: Any) -> None:
    """A worker dies between the vendor's work and its answer."""
    vendor.during = killed
    calls = await bench.claim()
    with pytest.raises(Killed):
        await calls.make(SmallCall(vendor, **changes))
    vendor.during = None


async def test_answer_is_stored_booked_and_replayed_on_any_host(
    bench: Bench, vendor: Vendor
) -> None:
    first = await (await bench.claim()).make(SmallCall(vendor))
    (row,) = await bench.rows()
    assert (row["status"], row["try_no"], row["provider_ref"]) == ("done", 1, "r1")
    assert (row["amount_reserved"], row["amount_actual"]) == (1, PRICE)
    assert await bench.booked() == [PRICE]
    assert first.charge.call_id == row["id"]
    run = await bench.pool.fetchrow("SELECT cost FROM workflow_executions")
    step = await bench.pool.fetchval("SELECT cost FROM workflow_steps WHERE step_name = 'script'")
    video = await bench.pool.fetchval("SELECT total_cost FROM videos")
    assert (run["cost"], step, video) == (PRICE, PRICE, PRICE)
    assert list(bench.spool().iterdir()) == []

    again = await (await bench.claim(host="host-b")).make(SmallCall(vendor))
    assert again == first
    assert vendor.sent == 1
    assert await bench.booked() == [PRICE]


async def test_calls_are_told_apart_by_all_that_they_send(bench: Bench, vendor: Vendor) -> None:
    calls = await bench.claim()
    for changes in ({}, {"text": "other"}, {"shard": 1}, {"occasion": 1}):
        await calls.make(SmallCall(vendor, **changes))
    assert vendor.sent == 4
    await calls.make(SmallCall(vendor, text="half an emoji \ud83d"))
    assert vendor.sent == 5


async def test_call_that_was_cut_off_settles_is_looked_up_and_adopted(
    bench: Bench, vendor: Vendor
) -> None:
    before = datetime.now(UTC)
    await die_in_call(bench, vendor)
    (row,) = await bench.rows()
    assert row["status"] == "intent"
    settles = row["settle_at"] - before
    assert timedelta(seconds=90) <= settles < timedelta(seconds=95), "patience and margin"
    calls = await bench.claim(host="host-b")
    with pytest.raises(Deferred) as caught:
        await calls.make(SmallCall(vendor))
    assert caught.value.until == row["settle_at"]
    assert vendor.looked == 0

    await bench.settle()
    answered = await (await bench.claim(host="host-b")).make(SmallCall(vendor))
    assert answered.answer.body == CANARY
    assert vendor.sent == 1
    assert await bench.statuses() == ["done"]
    assert await bench.booked() == [PRICE]


async def test_call_that_the_vendor_has_not_done_is_made_again(
    bench: Bench, vendor: Vendor
) -> None:
    vendor.keeps = False
    await die_in_call(bench, vendor)
    await bench.settle()
    await (await bench.claim()).make(SmallCall(vendor))
    assert await bench.statuses() == ["failed", "done"]
    assert [row["try_no"] for row in await bench.rows()] == [1, 2]
    assert await bench.booked() == [PRICE]


async def test_call_that_nobody_can_tell_of_is_repeated_so_often_and_then_a_person_is_asked(
    bench: Bench, vendor: Vendor
) -> None:
    vendor.searchable = False
    for _ in range(3):
        await die_in_call(bench, vendor)
        await bench.settle()
    with pytest.raises(Waiting, match=r"3 times.*ytempire unknown resolve"):
        await (await bench.claim()).make(SmallCall(vendor))
    assert await bench.statuses() == ["unknown"] * 3
    assert vendor.sent == 3
    assert await bench.booked() == []


async def test_vendor_that_cannot_be_asked_is_asked_again_later(
    bench: Bench, vendor: Vendor
) -> None:
    await die_in_call(bench, vendor)
    await bench.settle()
    vendor.away = Transient("the vendor is down")
    for _ in range(4):
        with pytest.raises(Deferred, match="the vendor is down"):
            await (await bench.claim()).make(SmallCall(vendor))
    assert (vendor.sent, await bench.statuses()) == (1, ["intent"])
    await (await bench.claim()).make(SmallCall(vendor))
    assert await bench.statuses() == ["unknown", "done"]


async def test_name_that_the_vendor_told_is_looked_up_without_waiting(
    bench: Bench, vendor: Vendor
) -> None:
    async def named_then_killed(call_id: UUID, note: Note) -> None:
        await note("vendor-name-7")
        raise Killed

    vendor.during = named_then_killed
    with pytest.raises(Killed):
        await (await bench.claim()).make(SmallCall(vendor))
    vendor.during = None
    await (await bench.claim(host="host-b")).make(SmallCall(vendor))
    assert (vendor.sent, vendor.looked) == (1, 1)
    assert await bench.statuses() == ["done"]


async def test_time_out_rests_until_the_call_has_settled(bench: Bench, vendor: Vendor) -> None:
    vendor.refusal = Ambiguous("no answer in time")
    with pytest.raises(Deferred, match="no answer in time") as caught:
        await (await bench.claim()).make(SmallCall(vendor))
    (row,) = await bench.rows()
    assert (row["status"], row["settle_at"]) == ("intent", caught.value.until)


async def test_vendor_that_gave_up_itself_settles_soon(bench: Bench, vendor: Vendor) -> None:
    vendor.refusal = Ambiguous("500", answered=True, retry_after=3)
    with pytest.raises(Transient) as caught:
        await (await bench.claim()).make(SmallCall(vendor))
    assert not isinstance(caught.value, Ambiguous)
    assert caught.value.retry_after == 3
    (row,) = await bench.rows()
    assert row["settle_at"] - row["created_at"] < timedelta(seconds=10)


async def test_call_that_costs_nothing_is_repeated_at_once(bench: Bench, vendor: Vendor) -> None:
    vendor.searchable = False
    await die_in_call(bench, vendor, most=Decimal(0))
    vendor.refusal = Ambiguous("no answer in time")
    with pytest.raises(Transient):
        await (await bench.claim()).make(SmallCall(vendor, most=Decimal(0)))
    vendor.refusal = None
    await (await bench.claim()).make(SmallCall(vendor, most=Decimal(0)))
    assert await bench.statuses() == ["failed", "failed", "done"]


async def test_refusal_costs_nothing_and_is_kept(bench: Bench, vendor: Vendor) -> None:
    vendor.refusal = Rejected("no such voice")
    with pytest.raises(Rejected, match="no such voice"):
        await (await bench.claim()).make(SmallCall(vendor))
    vendor.refusal = None
    vendor.body = b"not ours"
    with pytest.raises(Transient, match="did not come"):
        await (await bench.claim()).make(SmallCall(vendor))
    rows = await bench.rows()
    assert [(r["status"], r["amount_actual"]) for r in rows] == [("failed", None)] * 2
    assert [r["error_message"] for r in rows] == [
        "no such voice",
        "this did not come from the vendor",
    ]
    assert await bench.booked() == []
    assert list(bench.spool().iterdir()) == []


async def test_charged_answer_of_no_use_is_booked_once_and_asked_for_anew(
    bench: Bench, vendor: Vendor
) -> None:
    vendor.body = b"of no use"
    await (await bench.claim()).make(SmallCall(vendor))
    vendor.body = CANARY
    await (await bench.claim()).make(SmallCall(vendor))
    assert await bench.statuses() == ["failed", "done"]
    assert await bench.booked() == [PRICE, PRICE]


async def test_zombie_writes_nothing_and_its_answer_is_adopted(
    bench: Bench, vendor: Vendor
) -> None:
    async def taken_over(call_id: UUID, note: Note) -> None:
        await bench.claim()

    vendor.during = taken_over
    zombie = await bench.claim()
    with pytest.raises(LostClaim):
        await zombie.make(SmallCall(vendor))
    vendor.during = None
    assert (await bench.statuses(), await bench.booked()) == (["intent"], [])
    with pytest.raises(LostClaim):
        await zombie.make(SmallCall(vendor, text="another"))
    assert vendor.sent == 1, "no intent, no call"

    answered = await (await bench.claim()).make(SmallCall(vendor))
    assert answered.answer.body == CANARY
    assert (vendor.sent, vendor.looked) == (1, 0)
    assert await bench.booked() == [PRICE]


async def test_name_of_a_call_is_not_written_by_a_zombie(bench: Bench, vendor: Vendor) -> None:
    async def taken_over_then_named(call_id: UUID, note: Note) -> None:
        await bench.claim()
        await note("late")

    vendor.during = taken_over_then_named
    with pytest.raises(LostClaim):
        await (await bench.claim()).make(SmallCall(vendor))
    (row,) = await bench.rows()
    assert (row["status"], row["provider_ref"]) == ("intent", None)


async def test_call_of_a_run_that_was_cancelled_meanwhile_is_booked(
    bench: Bench, vendor: Vendor
) -> None:
    async def cancelled(call_id: UUID, note: Note) -> None:
        await bench.pool.execute("UPDATE workflow_executions SET status = 'cancelled'")
        await bench.pool.execute("UPDATE workflow_steps SET status = 'cancelled'")

    vendor.during = cancelled
    with pytest.raises(LostClaim):
        await (await bench.claim()).make(SmallCall(vendor))
    assert (await bench.statuses(), await bench.booked()) == (["done"], [PRICE])


@pytest.fixture
def server(pytestconfig: pytest.Config) -> Iterator[MortalServer]:
    folder = SessionFolder()
    try:
        yield MortalServer(folder.path, pytestconfig.getoption("--pg"))
    finally:
        folder.remove()


@pytest.mark.parametrize("patience", [0.0, 60.0], ids=["the process ends", "the process waits"])
async def test_answer_outlives_a_database_that_is_away(
    server: MortalServer, vendor: Vendor, tmp_path: Path, patience: float
) -> None:
    async def away(call_id: UUID, note: Note) -> None:
        await asyncio.to_thread(server.stop)

    pool = await open_pool(server.url(server.create_database()), min_size=0)
    try:
        bench = await make_bench(pool, tmp_path)
        bench.options = LedgerOptions(patience=patience)
        vendor.during = away
        making = asyncio.create_task((await bench.claim()).make(SmallCall(vendor)))
        while not list(bench.spool().glob("*.answer")):
            await asyncio.sleep(0.01)
        (kept,) = bench.spool().iterdir()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(bench.spool().stat().st_mode) == 0o700
        assert CANARY not in kept.read_bytes()
        if patience:
            assert not making.done()
            await asyncio.to_thread(server.go_on)
            answered = await making
        else:
            with pytest.raises(Unavailable):
                await making
            await asyncio.to_thread(server.go_on)
            assert await bench.statuses() == ["intent"]
            answered = await (await bench.claim()).make(SmallCall(vendor))
        assert answered.answer.body == CANARY
        assert (vendor.sent, vendor.looked) == (1, 0)
        assert (await bench.statuses(), await bench.booked()) == (["done"], [PRICE])
        assert list(bench.spool().iterdir()) == []
    finally:
        await pool.close()


async def test_answer_that_was_damaged_is_looked_up_before_it_is_paid_again(
    bench: Bench, vendor: Vendor
) -> None:
    await (await bench.claim()).make(SmallCall(vendor))
    for file in (bench.folder / "artifacts").rglob("other-*"):
        file.write_bytes(b"{}")
    answered = await (await bench.claim()).make(SmallCall(vendor))
    assert answered.answer.body == CANARY
    assert (vendor.sent, vendor.looked) == (1, 1)
    vendor.work.clear()
    await (await bench.claim()).make(SmallCall(vendor))
    assert (vendor.sent, await bench.booked()) == (2, [PRICE, PRICE])


async def test_gate_is_passed_before_the_intent_and_not_by_replays(
    bench: Bench, vendor: Vendor
) -> None:
    bench.gates = {"vendor": ProviderGate(bench.pool, "vendor", concurrency=1)}
    await (await bench.claim()).make(SmallCall(vendor))
    await bench.pool.execute(
        "UPDATE provider_state SET paused_until = clock_timestamp() + '1h', reason = 'pay'"
    )
    await (await bench.claim()).make(SmallCall(vendor))
    with pytest.raises(Deferred, match="paused"):
        await (await bench.claim()).make(SmallCall(vendor, text="other"))
    assert len(await bench.rows()) == 1
    assert vendor.sent == 1


async def test_no_connection_is_held_while_a_call_runs(
    bench: Bench, vendor: Vendor, database_url: str
) -> None:
    single = await open_pool(database_url, min_size=1, max_size=1)

    async def needs_the_connection(call_id: UUID, note: Note) -> None:
        assert await single.fetchval("SELECT 1", timeout=10) == 1

    vendor.during = needs_the_connection
    try:
        await (await bench.claim(pool=single)).make(SmallCall(vendor))
    finally:
        await single.close()
    assert vendor.sent == 1


async def test_retry_of_a_recorded_step_asks_anew_and_one_of_a_failed_step_does_not(
    bench: Bench, vendor: Vendor
) -> None:
    await (await bench.claim()).make(SmallCall(vendor))
    failed = "UPDATE workflow_executions SET status = 'failed', current_step = $1"
    await bench.pool.execute("UPDATE workflow_steps SET status = 'failed' WHERE step_no = 2")
    await bench.pool.execute(failed, "script")
    async with transaction(bench.pool) as connection:
        await retry_run(connection, bench.execution_id, from_step=StageName.SCRIPT)
    await (await bench.claim()).make(SmallCall(vendor))
    assert vendor.sent == 1

    await bench.pool.execute("UPDATE workflow_steps SET status = 'success' WHERE step_no = 2")
    await bench.pool.execute(failed, "voice")
    async with transaction(bench.pool) as connection:
        await retry_run(connection, bench.execution_id, from_step=StageName.SCRIPT)
    await (await bench.claim()).make(SmallCall(vendor))
    assert vendor.sent == 2
    assert await bench.booked() == [PRICE, PRICE]


async def test_charge_is_booked_although_the_answer_cannot_be_stored(
    bench: Bench, vendor: Vendor
) -> None:
    artifacts = bench.folder / "artifacts"
    artifacts.write_text("no folder")
    with pytest.raises((Transient, Waiting)):
        await (await bench.claim()).make(SmallCall(vendor))
    (row,) = await bench.rows()
    assert (row["status"], row["provider_ref"]) == ("intent", "r1")
    assert await bench.booked() == [PRICE]
    artifacts.unlink()
    await (await bench.claim()).make(SmallCall(vendor))
    assert (vendor.sent, vendor.looked) == (1, 0)
    assert (await bench.statuses(), await bench.booked()) == (["done"], [PRICE])


async def test_spooled_answer_of_a_call_that_another_host_gave_up_is_used(
    bench: Bench, vendor: Vendor
) -> None:
    async def taken_over(call_id: UUID, note: Note) -> None:
        await bench.claim(host="host-b")

    vendor.searchable = False
    vendor.during = taken_over
    with pytest.raises(LostClaim):
        await (await bench.claim()).make(SmallCall(vendor))
    vendor.during = None
    await bench.settle()
    vendor.refusal = Transient("not now")
    with pytest.raises(Transient):
        await (await bench.claim(host="host-b")).make(SmallCall(vendor))
    assert await bench.statuses() == ["unknown", "failed"]
    answered = await (await bench.claim()).make(SmallCall(vendor))
    assert answered.answer.body == CANARY
    assert await bench.statuses() == ["done", "failed"]


async def test_spool_keeps_nothing_that_is_recorded(bench: Bench, vendor: Vendor) -> None:
    spool = Spool(bench.spool(), KEYS)
    await (await bench.claim()).make(SmallCall(vendor))
    (row,) = await bench.rows()
    open_call, other = uuid4(), uuid4()
    await bench.pool.execute(
        "INSERT INTO provider_calls (id, step_id, service, operation, request_hash, fence,"
        " settle_at) VALUES ($1, $2, 'vendor', 'work', 'x', 1, now())",
        open_call,
        row["step_id"],
    )
    for call_id in (row["id"], open_call, other):
        await spool.keep(call_id, vendor.answer())
    assert await sweep_spool(bench.pool, spool) == 1
    assert set(await spool.list_calls()) == {open_call, other}
