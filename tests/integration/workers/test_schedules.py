"""Runs that begin by the clock: each once, whatever number of workers look at it, and when."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.pool import Pool, open_pool, transaction
from db.repositories.schedules import Schedules
from tests.integration.workers.runs import add_channel
from workers.scheduling.production import start_due_productions
from workers.scheduling.workflows import MOST_CAUGHT_UP, start_due_workflows

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WORKERS = 8


@pytest.fixture
async def pools(database_url: str) -> AsyncIterator[list[Pool]]:
    """One pool a worker, as processes of their own have."""
    opened = [await open_pool(database_url, max_size=2) for _ in range(WORKERS)]
    yield opened
    for pool in opened:
        await pool.close()


async def add_workflow(pool: Pool, **more: Any) -> UUID:
    row = {
        "name": "nightly",
        "workflow_type": "content_generation",
        "trigger_type": "schedule",
        "schedule_cron": "0 * * * *",
        "timezone": "Europe/Berlin",
        "catch_up": "latest",
        "next_run_at": NOON,
        "configuration": {"channel": "tests", "topic": "Ice", "facts": ["Ice floats."]},
    } | more
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    id_: UUID = await pool.fetchval(
        f"INSERT INTO automation_workflows ({', '.join(row)}) VALUES ({places}) RETURNING id",
        *row.values(),
    )
    return id_


async def ticks(pool: Pool) -> list[datetime]:
    rows = await pool.fetch(
        "SELECT trigger_data->>'scheduled_for' AS tick FROM workflow_executions"
        " WHERE trigger_data ? 'scheduled_for' ORDER BY 1"
    )
    return [datetime.fromisoformat(row["tick"]) for row in rows]


async def workflow(pool: Pool) -> Any:
    return await pool.fetchrow("SELECT * FROM automation_workflows WHERE name = 'nightly'")


async def test_many_workers_start_every_tick_once(pools: list[Pool]) -> None:
    await add_channel(pools[0])
    await add_workflow(pools[0], schedule_cron="*/15 * * * *", catch_up="all")
    await add_workflow(pools[0], name="other", schedule_cron="*/30 * * * *", catch_up="all")
    chance = random.Random(7)

    async def work(pool: Pool) -> int:
        now, started = NOON - HOUR, 0
        while now < NOON + 5 * HOUR:
            started += await start_due_workflows(pool, now=now)
            await asyncio.sleep(chance.random() / 500)
            now += timedelta(minutes=chance.randint(1, 40))
        return started + await start_due_workflows(pool, now=NOON + 5 * HOUR)

    started = sum(await asyncio.gather(*map(work, pools)))
    quarters = [NOON + timedelta(minutes=15 * n) for n in range(21)]
    halves = [NOON + timedelta(minutes=30 * n) for n in range(11)]
    assert await ticks(pools[0]) == sorted(quarters + halves)
    assert started == len(quarters) + len(halves)
    assert await pools[0].fetchval("SELECT count(*) FROM queue.job_queue") == started


@pytest.mark.parametrize(
    ("catch_up", "late", "expected"),
    [
        ("none", 2 * MINUTE, [NOON + 3 * HOUR]),
        ("none", 20 * MINUTE, []),
        ("latest", 20 * MINUTE, [NOON + 3 * HOUR]),
        ("all", 20 * MINUTE, [NOON + n * HOUR for n in range(4)]),
        ("all", 10 * DAY, [NOON + 10 * DAY + n * HOUR for n in range(4 - MOST_CAUGHT_UP, 4)]),
    ],
)
async def test_missed_ticks_are_caught_up_with_as_stated(
    pool: Pool, catch_up: str, late: timedelta, expected: list[datetime]
) -> None:
    await add_channel(pool)
    await add_workflow(pool, catch_up=catch_up)
    now = NOON + 3 * HOUR + late
    assert await start_due_workflows(pool, now=now) == len(expected)
    assert await ticks(pool) == expected
    row = await workflow(pool)
    assert row["next_run_at"] == now.replace(minute=0) + HOUR
    assert await start_due_workflows(pool, now=now) == 0


async def test_clock_change_is_kept_to(pool: Pool) -> None:
    await add_channel(pool)
    first = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)  # 02:30 in Berlin
    await add_workflow(pool, schedule_cron="30 2 * * *", next_run_at=first)
    for hour in range(60):
        await start_due_workflows(pool, now=first + hour * HOUR / 1)
    assert await ticks(pool) == [
        first,
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # 02:30 is skipped: at 03:00
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]


async def test_tick_is_never_started_twice_though_its_time_is_set_back(pool: Pool) -> None:
    await add_channel(pool)
    await add_workflow(pool)
    assert await start_due_workflows(pool, now=NOON) == 1
    await pool.execute("UPDATE automation_workflows SET next_run_at = $1", NOON)
    assert await start_due_workflows(pool, now=NOON) == 0
    assert await ticks(pool) == [NOON]


async def test_workflow_made_by_sql_gets_its_next_time_and_starts_nothing(pool: Pool) -> None:
    await add_channel(pool)
    await add_workflow(pool, next_run_at=None)
    assert await start_due_workflows(pool, now=NOON + MINUTE) == 0
    assert (await workflow(pool))["next_run_at"] == NOON + HOUR
    assert await start_due_workflows(pool, now=NOON + HOUR) == 1


async def test_disabled_and_unscheduled_workflows_start_nothing(pool: Pool) -> None:
    await add_channel(pool)
    await add_workflow(pool, is_active=False)
    await add_workflow(pool, name="hook", trigger_type="webhook")
    assert await start_due_workflows(pool, now=NOON + DAY) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"schedule_cron": "61 * * * *"}, "out of range"),
        ({"schedule_cron": None}, "5 fields"),
        ({"timezone": "Mars/Olympus"}, "time zone"),
        ({"configuration": {"topic": "Ice"}}, "channel"),
        ({"configuration": {"channel": "nowhere"}}, "nowhere"),
        ({"configuration": {"channel": "tests", "priority": 99}}, "priority"),
        ({"workflow_type": "maintenance"}, "maintenance"),
    ],
)
async def test_workflow_that_cannot_start_says_why_and_holds_up_no_other(
    pool: Pool, more: dict[str, Any], said: str
) -> None:
    await add_channel(pool)
    await add_workflow(pool, **more)
    await add_workflow(pool, name="zz-good")
    assert await start_due_workflows(pool, now=NOON + MINUTE) == 1
    row = await workflow(pool)
    assert row["last_run_status"] == "refused"
    assert said in row["last_error"]
    assert row["next_run_at"] > NOON + MINUTE
    assert await pool.fetchval("SELECT count(*) FROM workflow_executions") == 1


async def test_paused_channel_refuses_the_tick_and_has_the_next(pool: Pool) -> None:
    await add_channel(pool)
    await add_workflow(pool)
    await pool.execute("UPDATE channels SET status = 'paused'")
    assert await start_due_workflows(pool, now=NOON) == 0
    assert "paused" in (await workflow(pool))["last_error"]
    await pool.execute("UPDATE channels SET status = 'active'")
    assert await start_due_workflows(pool, now=NOON + HOUR) == 1
    row = await workflow(pool)
    assert (row["last_run_status"], row["last_error"]) == ("queued", None)


async def test_what_became_of_the_last_run_is_told(pool: Pool) -> None:
    await add_channel(pool)
    await add_workflow(pool)
    await start_due_workflows(pool, now=NOON)
    await pool.execute("UPDATE workflow_executions SET status = 'failed', error_message = 'script'")
    async with transaction(pool) as connection:
        await Schedules(connection).refresh_outcomes()
    row = await workflow(pool)
    assert (row["last_run_status"], row["last_error"]) == ("failed", "script")
    await pool.execute("UPDATE channels SET status = 'paused'")
    await start_due_workflows(pool, now=NOON + HOUR)
    async with transaction(pool) as connection:
        await Schedules(connection).refresh_outcomes()
    assert (await workflow(pool))["last_run_status"] == "refused"  # later than that run


async def produce_for(
    pool: Pool, schedule: dict[str, Any], *, name: str = "tests", **more: Any
) -> None:
    await add_channel(pool, name)
    given = {"videos_per_day": 1, "timezone": "Europe/Berlin"} | more
    changes = ", ".join(f"{column} = ${n}" for n, column in enumerate(given, start=4))
    await pool.execute(
        f"UPDATE channels SET upload_schedule = $1, slots_handled_until = $2, {changes}"
        " WHERE name = $3",
        schedule,
        NOON - DAY,
        name,
        *given.values(),
    )


async def produced(pool: Pool) -> list[tuple[str, datetime | None]]:
    rows = await pool.fetch(
        "SELECT c.name, e.trigger_data->>'slot' AS slot, e.publish_at FROM workflow_executions e"
        " JOIN channels c ON c.id = e.channel_id WHERE e.trigger_data ? 'slot' ORDER BY 1, 2"
    )
    assert all(row["publish_at"] in (None, datetime.fromisoformat(row["slot"])) for row in rows)
    return [(row["name"], datetime.fromisoformat(row["slot"])) for row in rows]


THREE = {"times": ["09:00", "13:00", "18:00"], "lead_minutes": 60}


async def test_many_workers_produce_at_most_so_many_a_day_and_each_slot_once(
    pools: list[Pool],
) -> None:
    first = datetime(2026, 12, 1, 8, tzinfo=UTC)  # 09:00 in Berlin
    await produce_for(pools[0], THREE, videos_per_day=2)
    await produce_for(pools[0], {"days": ["wed"], "times": ["09:00"]}, name="wednesdays")
    chance = random.Random(3)

    async def work(pool: Pool) -> int:
        now, begun = NOON + 6 * HOUR, 0
        while now < NOON + 3 * DAY:
            begun += await start_due_productions(pool, now=now)
            await asyncio.sleep(chance.random() / 500)
            now += timedelta(minutes=chance.randint(1, 90))
        return begun

    begun = sum(await asyncio.gather(*map(work, pools)))
    expected = [
        ("tests", first + day * DAY + hours * HOUR) for day in range(3) for hours in (0, 4)
    ] + [("wednesdays", first + DAY)]
    made = await produced(pools[0])
    assert [each for each in made if each[1] > NOON + 8 * HOUR] == [
        each for each in expected if each[1] - HOUR < NOON + 3 * DAY
    ]
    assert len(set(made)) == len(made) == begun


async def test_restart_with_forgotten_progress_makes_no_slot_twice(pool: Pool) -> None:
    await produce_for(pool, THREE, videos_per_day=3)
    before_first = datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert await start_due_productions(pool, now=before_first) == 1
    await pool.execute("UPDATE channels SET slots_handled_until = $1", NOON)
    assert await start_due_productions(pool, now=before_first) == 0
    assert len(await produced(pool)) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"upload_schedule": {}},
        {"upload_schedule": {"times": []}},
        {"upload_schedule": {"times": ["9 o'clock"]}},
        {"timezone": "Mars/Olympus"},
        {"status": "paused"},
        {"status": "suspended"},
        {"automation_enabled": False},
        {"videos_per_day": 0},
        {"deleted_at": NOON},
    ],
)
async def test_channel_that_may_not_produces_nothing_by_itself(
    pool: Pool, more: dict[str, Any]
) -> None:
    await produce_for(pool, THREE, **{k: v for k, v in more.items() if k != "upload_schedule"})
    if "upload_schedule" in more:
        await pool.execute("UPDATE channels SET upload_schedule = $1", more["upload_schedule"])
    for hour in range(0, 72, 2):
        assert await start_due_productions(pool, now=NOON + hour * HOUR) == 0


async def test_run_is_begun_ahead_and_goes_out_at_its_slot(pool: Pool) -> None:
    await produce_for(pool, {"times": ["09:00"]})
    slot = datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert await start_due_productions(pool, now=slot - 2 * HOUR - MINUTE) == 0
    assert await start_due_productions(pool, now=slot - 2 * HOUR) == 1
    assert await pool.fetchval("SELECT publish_at FROM workflow_executions") == slot
    assert await pool.fetchval("SELECT scheduled_publish_at FROM videos") == slot


async def test_reviewed_channel_begins_a_day_ahead(pool: Pool) -> None:
    await produce_for(pool, {"times": ["09:00"]}, auto_publish=False)
    slot = datetime(2026, 12, 2, 8, tzinfo=UTC)
    await pool.execute("UPDATE channels SET slots_handled_until = $1", slot - DAY)
    assert await start_due_productions(pool, now=slot - DAY) == 1
    assert await pool.fetchval("SELECT publish_at FROM workflow_executions") == slot


async def test_slot_that_was_missed_is_made_late_but_not_a_day_late(pool: Pool) -> None:
    await produce_for(pool, {"times": ["09:00"]})
    slot = datetime(2026, 12, 1, 8, tzinfo=UTC)
    await pool.execute("UPDATE channels SET slots_handled_until = $1", slot - DAY)
    assert await start_due_productions(pool, now=slot + 7 * HOUR) == 0
    assert await start_due_productions(pool, now=slot + 5 * HOUR) == 1
    assert await pool.fetchval("SELECT publish_at FROM workflow_executions") is None
