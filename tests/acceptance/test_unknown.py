"""Paid calls that nobody knows the end of, at the command line."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.pool import Pool
from pipeline.errors import Waiting
from tests.acceptance.line import Line
from tests.integration.workers.ledgers import Bench, Killed, SmallCall, Vendor, make_bench


async def unknown_calls(pool: Pool, folder: Path) -> Bench:
    """A run that waits, for nobody knows the end of three calls."""
    bench = await make_bench(pool, folder)
    vendor = Vendor(searchable=False)

    async def killed(*_: Any) -> None:
        raise Killed

    for _ in range(3):
        vendor.during = killed
        with pytest.raises(Killed):
            await (await bench.claim()).make(SmallCall(vendor))
        await bench.settle()
    with pytest.raises(Waiting):
        await (await bench.claim()).make(SmallCall(vendor))
    await pool.execute("UPDATE workflow_executions SET status = 'waiting'")
    await pool.execute("UPDATE workflow_steps SET status = 'waiting' WHERE step_name = 'script'")
    await pool.execute("DELETE FROM queue.job_queue")
    return bench


async def test_unknown_calls_are_listed_and_resolved(
    line: Line, pool: Pool, tmp_path: Path
) -> None:
    bench = await unknown_calls(pool, tmp_path)
    first, second, third = (str(row["id"]) for row in await bench.rows())
    listed = line.json("unknown", "list")
    assert [item["id"] for item in listed["items"]] == [first, second, third]
    assert listed["next_cursor"] is None
    assert {(i["service"], i["status"], i["amount_reserved"]) for i in listed["items"]} == {
        ("vendor", "unknown", 1.0)
    }
    report = json.loads(line.attempt("doctor", "--json").stdout)
    assert [item["id"] for item in report["unknown_calls"]] == [first, second, third]
    assert "vendor" in line.run("unknown", "list")

    done = line.json("unknown", "resolve", first[:8], "--paid", "0.02", "--reason", "the invoice")
    assert done == {
        "id": first,
        "execution_id": str(bench.execution_id),
        "service": "vendor",
        "operation": "work",
        "status": "failed",
        "resolution": "paid",
        "amount": 0.02,
        "resumed": True,
    }
    assert await bench.booked() == [Decimal("0.02")]
    run = line.json("run", "show", str(bench.execution_id))
    assert (run["status"], run["cost"]["total"]) == ("queued", 0.02)
    jobs = await pool.fetch("SELECT job_type FROM queue.job_queue WHERE status = 'pending'")
    assert [job["job_type"] for job in jobs] == ["video.script"]
    assert await pool.fetchval("SELECT approved_at FROM workflow_executions") is None

    again = line.json("unknown", "resolve", second, "--not-paid", "--reason", "no invoice")
    assert (again["amount"], again["resumed"]) == (0, False)
    line.run("unknown", "resolve", third, "--repeat", "--reason", "who knows")
    rows = await bench.rows()
    assert [row["status"] for row in rows] == ["failed"] * 3
    assert [row["amount_actual"] for row in rows] == [Decimal("0.02"), 0, None]
    assert "no invoice" in rows[1]["error_message"]
    assert line.json("unknown", "list")["items"] == []
    assert await bench.booked() == [Decimal("0.02")]

    vendor = Vendor()
    await (await bench.claim()).make(SmallCall(vendor))
    assert vendor.sent == 1


async def test_what_cannot_be_resolved_is_refused(line: Line, pool: Pool, tmp_path: Path) -> None:
    bench = await make_bench(pool, tmp_path)
    vendor = Vendor()
    await (await bench.claim()).make(SmallCall(vendor))
    (row,) = await bench.rows()
    id_ = str(row["id"])
    told = ("--reason", "r")
    assert "done" in line.refuse("unknown", "resolve", id_, "--repeat", *told, code=4)
    await pool.execute("UPDATE provider_calls SET status = 'intent'")
    assert "take effect" in line.refuse("unknown", "resolve", id_, "--not-paid", *told, code=4)
    assert "no call" in line.refuse("unknown", "resolve", "ffff", "--repeat", *told, code=3)
    line.refuse("unknown", "resolve", id_, *told, code=2)
    line.refuse("unknown", "resolve", id_, "--repeat", "--not-paid", *told, code=2)
    line.refuse("unknown", "resolve", id_, "--repeat", code=2)
    for amount in ("0", "-1", "many", "NaN", "0.0000001"):
        line.refuse("unknown", "resolve", id_, "--paid", amount, *told, code=2)
    assert await bench.statuses() == ["intent"]
