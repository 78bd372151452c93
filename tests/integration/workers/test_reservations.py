"""A reservation from its beginning to its end: drawn from, spent, released, expired, over midnight.

The clock is an argument here: the moments are those of 2026, both days of another length included.
"""

import asyncio
import signal
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from db.repositories.accounts import Account
from db.repositories.reservations import Reservations
from pipeline.errors import Deferred, Rejected, Waiting
from tests.services.account_network import Network, Run
from workers.accounts.extras import EXTRA_HOLD, reserve_extra
from workers.accounts.quota_charges import end_overdue, release
from workers.accounts.quota_meter import ProjectMeter, account_meter
from workers.accounts.trouble import TROUBLE, spend

NOON = datetime(2026, 6, 10, 19, tzinfo=UTC)  # in Los Angeles
EVENING = datetime(2026, 6, 11, 6, 50, tzinfo=UTC)  # ten minutes before midnight there
MIDNIGHT = datetime(2026, 6, 11, 7, tzinfo=UTC)
FULL_UPLOAD = 5 + 50 + 50 + 400  # the looks, the update, thumbnail, captions; no playlist


class Desk(Network):
    """One channel with one account of project 1, whose counters are from long ago."""

    account_id: UUID
    channel_id: UUID

    async def counters(self) -> tuple[int, int, int, int]:
        """Uploads and units of the account, inserts and default units of its project."""
        row = await self.pool.fetchrow(
            "SELECT uploads_today, quota_used_today FROM youtube_accounts WHERE id = $1",
            self.account_id,
        )
        assert row is not None
        inserts, units = await self.used("1", "videos.insert"), await self.used("1", "default")
        return row["uploads_today"], row["quota_used_today"], inserts, units

    async def next(self, at: datetime = NOON) -> tuple[Run, Account]:
        run = await self.run(self.channel_id)
        return run, await self.reserve(run, at)

    async def release(self, run: Run) -> None:
        async with transaction(self.pool) as connection:
            await release(connection, run.execution_id, reason=TROUBLE)

    async def spend(self, run: Run) -> None:
        async with transaction(self.pool) as connection:
            await spend(connection, execution_id=run.execution_id, account_id=self.account_id)

    async def status(self, run: Run) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT status FROM account_reservations WHERE execution_id = $1 ORDER BY created_at",
            run.execution_id,
        )
        return [row["status"] for row in rows]


def meter(pool: Pool, account: Account, at: datetime = NOON) -> ProjectMeter:
    plain = account_meter(pool, account)
    return ProjectMeter(pool, plain.project, account.id, account.reservation_id, at)


@pytest.fixture
async def desk(pool: Pool) -> Desk:
    made = Desk(pool)
    channel = await made.channel("c")
    object.__setattr__(made, "channel_id", channel)
    account_id = await made.account("a", [channel], quota_date=date(2026, 1, 1))
    object.__setattr__(made, "account_id", account_id)
    return made


async def test_whole_upload_is_charged_and_its_requests_are_not_charged_again(desk: Desk) -> None:
    _, account = await desk.next()
    assert await desk.counters() == (1, FULL_UPLOAD, 1, FULL_UPLOAD)
    count = meter(desk.pool, account)
    for method in ("channels.list", "videos.insert", "videos.list", "videos.update"):
        await count.sent(method)
    for method in ("thumbnails.set", "captions.insert"):
        await count.sent(method)
    assert await desk.counters() == (1, FULL_UPLOAD, 1, FULL_UPLOAD)


async def test_requests_beyond_the_reservation_count_too(desk: Desk) -> None:
    _, account = await desk.next()
    count = meter(desk.pool, account)
    for _ in range(2):
        await count.sent("captions.insert")
    await count.sent("videos.insert")
    await count.sent("videos.insert")
    await count.sent("search.list")
    assert await desk.used("1", "videos.insert") == 2
    assert await desk.used("1", "default") == 800
    assert await desk.used("1", "search.list") == 1


async def test_what_was_not_sent_comes_back_when_the_video_is_out(desk: Desk) -> None:
    run, account = await desk.next()
    count = meter(desk.pool, account)
    for method in ("channels.list", "videos.insert", "videos.list", "videos.update"):
        await count.sent(method)
    await desk.spend(run)
    await desk.spend(run)
    assert await desk.counters() == (1, 52, 1, 52)
    total = await desk.pool.fetchrow("SELECT total_uploads, total_quota_used FROM youtube_accounts")
    assert tuple(total or ()) == (1, 53)


async def test_release_gives_back_what_was_surely_not_sent(desk: Desk) -> None:
    run, _ = await desk.next()
    await desk.release(run)
    assert await desk.counters() == (0, 0, 0, 0)
    sent, account = await desk.next()
    await meter(desk.pool, account).sent("channels.list")
    await meter(desk.pool, account).sent("videos.insert")  # refused or not: it was sent
    await desk.release(sent)
    assert await desk.counters() == (1, 1, 1, 1)


async def test_attempt_that_may_have_sent_bytes_keeps_its_upload_counted(desk: Desk) -> None:
    """The embedded host has no meter: the attempt's own row tells."""
    run, account = await desk.next()
    await desk.pool.execute(
        "INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, fence, marker,"
        " file_sha256, size_bytes, status, session_uri)"
        " VALUES ($1, $2, $3, 1, 'yte-1', repeat('a', 64), 1, 'uploading', '{}')",
        run.video_id,
        run.execution_id,
        account.id,
    )
    await desk.release(run)
    assert (await desk.counters())[0] == 1


async def test_hold_that_nobody_uses_ends_and_its_room_is_granted_again(desk: Desk) -> None:
    await desk.pool.execute("UPDATE youtube_accounts SET upload_limit = 1")
    idle, _ = await desk.next()
    run = await desk.run(desk.channel_id)
    with pytest.raises(Deferred) as caught:
        await desk.reserve(run, NOON)
    assert caught.value.until == NOON + timedelta(hours=1)
    await desk.reserve(run, caught.value.until)
    assert await desk.status(idle) == ["released"]
    assert await desk.counters() == (1, FULL_UPLOAD, 1, FULL_UPLOAD)


async def test_hold_in_use_does_not_end(desk: Desk) -> None:
    run, account = await desk.next()
    later = NOON + timedelta(minutes=50)
    await meter(desk.pool, account, later).sent("videos.insert")
    assert await end_overdue(desk.pool, at=NOON + timedelta(hours=1)) == 0
    assert await desk.status(run) == ["held"]
    assert await end_overdue(desk.pool, at=later + timedelta(hours=1)) == 1


async def test_hold_of_a_run_that_has_ended_does_not_keep_others_waiting(desk: Desk) -> None:
    await desk.pool.execute("UPDATE youtube_accounts SET upload_limit = 1")
    run, _ = await desk.next()
    await desk.pool.execute(
        "UPDATE workflow_executions SET status = 'cancelled' WHERE id = $1", run.execution_id
    )
    await desk.next()
    assert await desk.status(run) == ["released"]


async def test_idle_hold_on_a_primary_ends_before_a_reserve_serves(desk: Desk) -> None:
    await desk.pool.execute("UPDATE youtube_accounts SET upload_limit = 1")
    await desk.account("r", [desk.channel_id], is_reserve=True, quota_date=date(2026, 1, 1))
    await desk.next()
    _, account = await desk.next(NOON + timedelta(hours=2))
    assert account.id == desk.account_id


async def test_holder_that_was_killed_gives_back_what_it_did_not_send(
    desk: Desk, database_url: str
) -> None:
    """kill -9 between the reservation and its first request, and after an insert."""
    runs = await desk.runs(desk.channel_id, 2)
    for run, method in zip(runs, ("", "videos.insert"), strict=True):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            HOLDER,
            database_url,
            *(str(each) for each in (run.execution_id, run.channel_id, run.video_id)),
            method,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert await child.stdout.readline() == b"held\n"
        child.send_signal(signal.SIGKILL)
        await child.wait()
    assert (await desk.counters())[0] == 2
    await desk.pool.execute("UPDATE account_reservations SET expires_at = now()")
    assert await end_overdue(desk.pool) == 2
    assert await desk.counters() == (1, 0, 1, 0)


HOLDER = """
import asyncio, sys
from uuid import UUID
from db.pool import open_pool
from workers.accounts.reservation import reserve_account
from workers.accounts.quota_meter import account_meter

async def main():
    pool = await open_pool(sys.argv[1])
    run, channel, video = map(UUID, sys.argv[2:5])
    account = await reserve_account(pool, execution_id=run, channel_id=channel, video_id=video)
    if sys.argv[5]:
        await account_meter(pool, account).sent(sys.argv[5])
    print("held", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        (NOON, MIDNIGHT),
        # The day of 23 hours: eight hours before UTC when it begins, seven when it ends.
        (datetime(2026, 3, 8, 8, tzinfo=UTC), datetime(2026, 3, 9, 7, tzinfo=UTC)),
        # The day of 25 hours.
        (datetime(2026, 11, 1, 7, tzinfo=UTC), datetime(2026, 11, 2, 8, tzinfo=UTC)),
    ],
)
async def test_day_ends_at_midnight_in_los_angeles(
    desk: Desk, now: datetime, midnight: datetime
) -> None:
    await desk.pool.execute(
        "UPDATE youtube_accounts SET upload_limit = 1, quota_date = '2026-01-01'"
    )
    run, _ = await desk.next(now)
    await desk.spend(run)
    with pytest.raises(Deferred) as caught:
        await desk.next(midnight - timedelta(microseconds=1))
    assert caught.value.until == midnight
    assert f"{midnight:%Y-%m-%d %H:%M:%S} UTC" in str(caught.value)
    await desk.next(midnight)
    row = await desk.pool.fetchrow(
        "SELECT uploads_today, last_quota_reset FROM youtube_accounts WHERE id = $1",
        desk.account_id,
    )
    assert tuple(row or ()) == (1, midnight)


async def test_reservation_that_crosses_midnight_is_charged_to_the_new_day(desk: Desk) -> None:
    run, account = await desk.next(EVENING)
    await meter(desk.pool, account, EVENING).sent("videos.insert")
    again = await desk.reserve(run, MIDNIGHT)
    assert again.id == account.id
    assert again.reservation_id != account.reservation_id
    assert await desk.status(run) == ["released", "held"]
    rows = await desk.pool.fetch(
        "SELECT quota_date, used FROM quota_usage WHERE bucket = 'videos.insert' ORDER BY 1"
    )
    assert [row["used"] for row in rows] == [1, 1]
    # A worker that does not know yet: its request counts on the day it is sent on.
    await meter(desk.pool, account, MIDNIGHT).sent("playlistItems.insert")
    assert await desk.used("1", "default") == FULL_UPLOAD + 50


async def test_open_session_needs_no_second_insert_on_the_new_day(desk: Desk) -> None:
    run, account = await desk.next(EVENING)
    await meter(desk.pool, account, EVENING).sent("videos.insert")
    await desk.pool.execute(
        "INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, fence, marker,"
        " file_sha256, size_bytes, status, session_uri)"
        " VALUES ($1, $2, $3, 1, 'yte-1', repeat('a', 64), 1, 'uploading', '{}')",
        run.video_id,
        run.execution_id,
        account.id,
    )
    # The account's new day is full: that is no reason to leave a half-sent video behind.
    await desk.pool.execute("UPDATE youtube_accounts SET upload_limit = 0")
    assert (await desk.reserve(run, MIDNIGHT)).id == account.id
    assert await desk.used("1", "videos.insert") == 1


async def test_extras_wait_so_that_every_upload_of_the_day_can_be_published(desk: Desk) -> None:
    """Five uploads of 55 units are to come; what else there is goes to extras."""
    await desk.limit("default", 5 * 55 + 50 + 399)
    run, account = await desk.next()
    covers = await desk.pool.fetchval("SELECT covers FROM account_reservations")
    assert covers == ["thumbnails.set"]
    with pytest.raises(Deferred) as caught:
        await reserve_extra(
            desk.pool,
            execution_id=run.execution_id,
            account_id=account.id,
            method="captions.insert",
            at=NOON,
        )
    assert caught.value.until == MIDNIGHT
    for _ in range(4):
        await desk.next()
    assert await desk.used("1", "default") == 5 * (55 + 50)
    await reserve_extra(
        desk.pool,
        execution_id=run.execution_id,
        account_id=account.id,
        method="captions.insert",
        at=MIDNIGHT,
    )
    await meter(desk.pool, account, MIDNIGHT).sent("captions.insert")
    await desk.limit("default", 300, project="1")
    with pytest.raises(Rejected, match="more than project 1"):
        await reserve_extra(
            desk.pool,
            execution_id=run.execution_id,
            account_id=account.id,
            method="captions.insert",
            at=MIDNIGHT + timedelta(days=1),
        )


async def test_extra_that_is_covered_is_charged_once_a_request(desk: Desk) -> None:
    run, account = await desk.next()

    async def captions() -> None:
        await reserve_extra(
            desk.pool,
            execution_id=run.execution_id,
            account_id=account.id,
            method="captions.insert",
            at=NOON,
        )

    await captions()
    await captions()
    assert await desk.used("1", "default") == FULL_UPLOAD
    await meter(desk.pool, account).sent("captions.insert")
    assert await desk.used("1", "default") == FULL_UPLOAD
    await captions()  # a second request needs units of its own
    assert await desk.used("1", "default") == FULL_UPLOAD + 400


async def test_more_units_join_the_reservation_that_the_run_holds(desk: Desk) -> None:
    run, account = await desk.next()
    await meter(desk.pool, account).sent("captions.insert")
    later = NOON + timedelta(minutes=55)
    await reserve_extra(
        desk.pool,
        execution_id=run.execution_id,
        account_id=account.id,
        method="captions.insert",
        at=later,
    )
    (held,) = await desk.pool.fetch("SELECT * FROM account_reservations")
    assert held["units"] == {"videos.insert": 1, "default": FULL_UPLOAD + 400}
    assert held["uploads"] == 1
    assert "captions.insert" in held["covers"]
    assert held["expires_at"] == later + EXTRA_HOLD
    await desk.release(run)
    assert await desk.counters() == (0, 400, 0, 400)


@pytest.mark.parametrize(
    ("full", "asked"),
    [
        ("UPDATE youtube_accounts SET upload_limit = 0", {"uploads": 1}),
        ("UPDATE youtube_accounts SET quota_limit = 49", {"account_units": 50}),
        ("UPDATE quota_usage SET quota_limit = 49 WHERE bucket = 'default'", {}),
        ("UPDATE account_reservations SET quota_date = quota_date - 1", {}),
    ],
)
async def test_grant_refuses_whatever_its_caller_has_looked_at(
    desk: Desk, full: str, asked: dict[str, int]
) -> None:
    """The last line of defence, under the choice of an account: guards of the statement itself."""
    holder, account = await desk.next()
    run = holder if "account_reservations" in full else await desk.run(desk.channel_id)
    await desk.pool.execute("UPDATE quota_usage SET used = 0")
    await desk.pool.execute(
        "UPDATE youtube_accounts SET uploads_today = 0, quota_used_today = 0, quota_limit = 50"
    )
    wanted: dict[str, Any] = {
        "execution_id": run.execution_id,
        "account_id": account.id,
        "project": "1",
        "day": NOON.date(),
        "units": {"default": 50},
        "account_units": 0,
        "covers": [],
        "uploads": 0,
        "now": NOON,
        "expires_at": NOON,
        **asked,
    }
    async with desk.pool.acquire() as connection:
        for statement, granted in (("SELECT 1", True), (full, False)):
            undone = connection.transaction()
            await undone.start()
            await connection.execute(statement)
            given = await Reservations(connection).grant(**wanted)
            assert (given is not None) is granted
            await undone.rollback()


async def test_limit_of_nothing_waits_for_a_person(desk: Desk) -> None:
    await desk.pool.execute("UPDATE youtube_accounts SET upload_limit = 0")
    with pytest.raises(Waiting, match="0 of its 0 uploads"):
        await desk.next()


async def test_channels_own_account_is_first_and_the_longest_unused_next(desk: Desk) -> None:
    second = await desk.account("b", [desk.channel_id])
    third = await desk.account("c", [desk.channel_id], health_score=40)
    assert {(await desk.next())[1].id for _ in range(2)} == {desk.account_id, second}
    await desk.pool.execute("UPDATE channels SET youtube_account_id = $1", third)
    assert (await desk.next())[1].id == third


async def test_sick_account_rests_until_it_has_recovered_to_the_floor(desk: Desk) -> None:
    await desk.pool.execute(
        "UPDATE youtube_accounts SET health_score = 10, health_changed_at = $1", NOON
    )
    run = await desk.run(desk.channel_id)
    with pytest.raises(Deferred, match="a health of 10, under 20") as caught:
        await desk.reserve(run, NOON)
    assert timedelta(hours=4) < caught.value.until - NOON < timedelta(hours=4, minutes=5)
    await desk.reserve(run, caught.value.until)
