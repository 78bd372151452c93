"""A page of jobs is read from an index, whatever the number of jobs."""

from typing import Any

import pytest

from db.pool import acquired
from db.statements import load

SQL = load("job_queue")
JOBS, PAGE = 20_000, 50


@pytest.fixture
async def history(pool) -> None:
    """Many completed jobs, a few of everything else among the oldest."""
    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, status, created_at)
           SELECT CASE n % 1000 WHEN 7 THEN 'rare' ELSE 'usual' END,
                  CASE WHEN n > $1::integer - 30 THEN 'failed' ELSE 'completed' END,
                  now() - make_interval(secs => n)
           FROM generate_series(1, $1::integer) AS n""",
        JOBS,
    )
    await pool.execute("VACUUM ANALYZE queue.job_queue")


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", []) for node in nodes(part))]


async def explain(pool, statement: str, **arguments: Any) -> list[dict[str, Any]]:
    """What the statement did, run with these arguments: every node of its plan."""
    async with acquired(pool) as connection:
        (document,) = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {SQL[statement].sql}",
            *SQL[statement].bind(arguments),
        )
    return nodes(document["Plan"])


def rows_read(plan: list[dict[str, Any]]) -> float:
    scans = [node for node in plan if "Scan" in node["Node Type"]]
    return max(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in scans
    )


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"job_type": "rare"},
        {"job_type": "usual"},
        {"status": "failed"},
        {"status": "completed"},
    ],
)
@pytest.mark.parametrize("further", [False, True])
async def test_a_page_reads_little_more_than_itself(pool, filters, further):
    last = None
    if further:
        last = await pool.fetchrow(
            "SELECT created_at, seq FROM queue.job_queue WHERE ($1::text IS NULL OR job_type = $1)"
            " AND ($2::text IS NULL OR status = $2) ORDER BY created_at DESC OFFSET 10 LIMIT 1",
            filters.get("job_type"),
            filters.get("status"),
        )
    plan = await explain(
        pool,
        "job_list",
        **{"status": None, "job_type": None, "queue_name": None, **filters},
        before_created_at=last and last["created_at"],
        before_seq=last and last["seq"],
        most=PAGE,
    )
    # So whatever was sorted on the way was no more than that.
    assert rows_read(plan) <= 2 * PAGE


@pytest.mark.usefixtures("history")
async def test_failed_jobs_are_found_without_reading_the_others(pool):
    plan = await explain(
        pool, "job_select_ids", statuses=["failed"], job_type=None, queue_name=None, most=PAGE
    )
    assert rows_read(plan) <= 2 * PAGE
