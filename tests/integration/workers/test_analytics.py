"""Statistics of YouTube: pulled again while they change, kept no longer than may be."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from pipeline.errors import Rejected, Waiting
from pipeline.providers.youtube_tokens import Credential
from tests.integration.workers.runs import begin, value
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import MONETARY, SCOPES, World
from workers.accounts.adding import NewAccount, add_account
from workers.analytics import keep_api_data_fresh, next_pull, pull_video
from workers.channels import NewChannel, add_youtube_channel
from workers.runtime import Runtime, open_runtime
from workers.settings import Settings

SINCE = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Desk:
    runtime: Runtime
    world: World
    pool: Pool
    video_id: UUID
    host_video_id: str

    def report(self, days_ago: int, **numbers: object) -> None:
        row = {"day": (self.today - timedelta(days=days_ago)).isoformat(), **numbers}
        self.world.reports.setdefault(self.host_video_id, []).append(row)

    async def days(self) -> dict[date, tuple[int, Decimal, bool]]:
        rows = await self.pool.fetch(
            "SELECT date, views, estimated_revenue, is_final FROM analytics.video_analytics"
        )
        return {row["date"]: tuple(row)[1:] for row in rows}

    today: date


@pytest.fixture(params=[False, True], ids=["free", "monetary"])
def monetary(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def desk(
    pool: Pool, database_url: str, tmp_path: Path, monetary: bool
) -> AsyncIterator[Desk]:
    with YouTubeServer() as youtube:
        settings = Settings.from_env(
            {
                "YTEMPIRE_DATA_DIR": str(tmp_path),
                "DATABASE_URL": database_url,
                "YTEMPIRE_HOST_PROVIDER": "youtube",
                "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
                "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
                "YTEMPIRE_SECRET_KEYS": "k:" + base64.b64encode(bytes(32)).decode(),
            }
        )
        async with open_runtime(settings, database_url, pool_size=2) as runtime:
            desk = Desk()
            desk.runtime, desk.world, desk.pool = runtime, youtube.world, pool
            await _fill(desk, (*SCOPES, MONETARY) if monetary else SCOPES)
            yield desk


async def _fill(desk: Desk, scopes: tuple[str, ...]) -> None:
    """A channel, its account, and a video that YouTube has as well."""
    async with transaction(desk.pool) as connection:
        await add_youtube_channel(
            connection, NewChannel(name="tests", youtube_channel_id="UC_own", resolution="360p")
        )
    account = desk.world.add_account("UC_own", scopes=scopes)
    credential = Credential(account.client_id, account.client_secret, account.refresh_token, scopes)
    added = await add_account(
        desk.runtime.settings,
        desk.pool,
        desk.runtime.keys,
        NewAccount("one@example.org", credential, "tests", None, False, 5, 10_000),
    )
    session = desk.world.open_session(
        account,
        {"snippet": {"title": "x", "categoryId": "27"}, "status": {"privacyStatus": "public"}},
        1,
    )
    desk.world.append(session, 0, b"x", None)
    desk.host_video_id = str(session.video_id)
    desk.video_id = (await begin(desk.pool)).video_id
    await desk.pool.execute(
        "UPDATE videos SET youtube_video_id = $2, youtube_account_id = $3, status = 'published', "
        "published_at = now() - interval '30 days' WHERE id = $1",
        desk.video_id,
        desk.host_video_id,
        added.id,
    )
    desk.today = await desk.pool.fetchval("SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date")


async def test_pull_writes_counters_and_days_and_schedules_the_next(
    desk: Desk, monetary: bool
) -> None:
    desk.world.videos[desk.host_video_id]["statistics"] = {"viewCount": "7", "likeCount": "2"}
    desk.report(20, views=3, estimatedMinutesWatched=4, estimatedRevenue=0.25)
    desk.report(3, views=5, averageViewPercentage=51.5)
    await pull_video(desk.runtime, desk.video_id)
    assert await desk.days() == {
        desk.today - timedelta(days=20): (3, Decimal("0.25") if monetary else Decimal(0), True),
        desk.today - timedelta(days=3): (5, Decimal(0), False),
    }
    assert await value(desk.pool, "SELECT view_count FROM videos") == 7
    assert await value(desk.pool, "SELECT source FROM analytics.video_metrics") == "data_api"
    assert await value(desk.pool, "SELECT count(*) FROM staging.youtube_analytics_raw") == 1
    due = await value(
        desk.pool, "SELECT scheduled_for FROM queue.job_queue WHERE job_type = 'analytics.pull'"
    )
    assert isinstance(due, datetime)
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(days=7)


async def test_days_that_may_change_are_pulled_again_and_replaced(desk: Desk) -> None:
    desk.report(6, views=1)
    desk.report(2, views=1)
    await pull_video(desk.runtime, desk.video_id)
    desk.world.reports.clear()
    desk.report(6, views=10)
    desk.report(2, views=20)
    desk.report(1, views=30)
    await pull_video(desk.runtime, desk.video_id)
    views = {day: row[0] for day, row in (await desk.days()).items()}
    assert views == {desk.today - timedelta(days=ago): n for ago, n in ((6, 10), (2, 20), (1, 30))}
    jobs = "SELECT count(*) FROM queue.job_queue WHERE job_type = 'analytics.pull'"
    assert await value(desk.pool, jobs) == 1


async def test_scheduled_video_is_seen_to_go_public_or_not(desk: Desk) -> None:
    await desk.pool.execute(
        "UPDATE videos SET published_at = NULL, status = 'completed', "
        "scheduled_publish_at = now() - interval '1 hour'"
    )
    desk.world.videos[desk.host_video_id]["status"]["privacyStatus"] = "private"
    await pull_video(desk.runtime, desk.video_id)
    assert "by hand" in str(await value(desk.pool, "SELECT error_message FROM videos"))
    desk.world.videos[desk.host_video_id]["status"]["privacyStatus"] = "public"
    await pull_video(desk.runtime, desk.video_id)
    assert await value(desk.pool, "SELECT published_at = scheduled_publish_at FROM videos")


async def test_pull_enqueues_waiting_extras_whose_job_was_lost(desk: Desk) -> None:
    run = await value(desk.pool, "SELECT id FROM workflow_executions")
    await desk.pool.execute(
        "UPDATE workflow_steps SET status = 'success', output = $2 "
        "WHERE execution_id = $1 AND step_name = 'upload'",
        run,
        {"extras": [{"name": "captions", "status": "waits"}]},
    )
    await desk.pool.execute(
        "INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, fence, marker, "
        "file_sha256, size_bytes, status) "
        "SELECT id, $1, youtube_account_id, 1, 'yte-x', 'a', 1, 'published' FROM videos",
        run,
    )
    jobs = "SELECT count(*) FROM queue.job_queue WHERE job_type = 'maintenance.extras'"
    for ended, expected in (("pending", 1), ("failed", 1), ("completed", 2)):
        await pull_video(desk.runtime, desk.video_id)
        assert await value(desk.pool, jobs) == expected, ended
        await desk.pool.execute(
            "UPDATE queue.job_queue SET status = $1 WHERE job_type = 'maintenance.extras'", ended
        )


async def test_dead_grant_is_told_with_the_account(desk: Desk) -> None:
    desk.world.tokens.clear()
    desk.world.accounts.clear()
    with pytest.raises(Waiting) as caught:
        await pull_video(desk.runtime, desk.video_id)
    assert caught.value.trouble is not None


async def test_video_that_is_not_at_youtube_is_refused(desk: Desk) -> None:
    other = (await begin(desk.pool)).video_id
    with pytest.raises(Rejected, match="not at YouTube"):
        await pull_video(desk.runtime, other)


async def test_days_are_read_again_before_they_grow_too_old_to_be_kept(desk: Desk) -> None:
    desk.report(25, views=1)
    desk.report(9, views=1)
    await pull_video(desk.runtime, desk.video_id)
    for read_again, age in ((False, 19), (True, 20)):
        await desk.pool.execute(
            "UPDATE analytics.video_analytics SET updated_at = now() - make_interval(days => $1) "
            "WHERE date = $2",
            age,
            desk.today - timedelta(days=25),
        )
        desk.world.reports.clear()
        desk.report(25, views=30)
        await pull_video(desk.runtime, desk.video_id)
        views = (await desk.days())[desk.today - timedelta(days=25)][0]
        assert views == (30 if read_again else 1)


async def test_days_that_youtube_tells_no_more_are_deleted_while_the_rest_is_fresh(
    desk: Desk,
) -> None:
    desk.report(25, views=1)
    desk.report(3, views=2)
    await pull_video(desk.runtime, desk.video_id)
    old = desk.today - timedelta(days=25)
    await desk.pool.execute(
        "UPDATE analytics.video_analytics SET updated_at = now() - interval '29 days' "
        "WHERE date = $1",
        old,
    )
    await desk.pool.execute(
        "UPDATE staging.youtube_analytics_raw SET import_timestamp = now() - interval '29 days'"
    )
    await desk.pool.execute("SELECT analytics.ensure_month(now() - interval '29 days')")
    await desk.pool.execute(
        "INSERT INTO analytics.video_metrics (video_id, timestamp, source, views) "
        "VALUES ($1, now() - interval '29 days', 'data_api', 9), "
        "($1, now() - interval '29 days 1 second', 'local', 9)",
        desk.video_id,
    )
    await desk.pool.execute("UPDATE videos SET view_count = 7")
    assert await keep_api_data_fresh(desk.pool) == (0, 0)
    assert list(await desk.days()) == [desk.today - timedelta(days=3)]
    kept = await desk.pool.fetch("SELECT source, views FROM analytics.video_metrics ORDER BY 1, 2")
    assert [tuple(row) for row in kept] == [("data_api", 0), ("local", 9)]
    assert await value(desk.pool, "SELECT count(*) FROM staging.youtube_analytics_raw") == 0
    assert await value(desk.pool, "SELECT view_count FROM videos") == 7


@pytest.mark.parametrize("state", ["needs_reauth", "suspended", "disabled"])
async def test_account_that_cannot_be_asked_has_its_data_deleted_and_read_anew_later(
    desk: Desk, state: str
) -> None:
    desk.world.videos[desk.host_video_id]["statistics"] = {"viewCount": "7"}
    await pull_video(desk.runtime, desk.video_id)
    await desk.pool.execute("UPDATE youtube_accounts SET state = $1", state)
    await desk.pool.execute("SELECT analytics.ensure_month(now() - interval '29 days')")
    await desk.pool.execute(
        "UPDATE analytics.video_metrics SET timestamp = now() - interval '29 days'"
    )
    assert await keep_api_data_fresh(desk.pool) == (0, 1)
    assert await value(desk.pool, "SELECT view_count FROM videos") == 0
    await desk.pool.execute("UPDATE youtube_accounts SET state = 'ready'")
    assert await keep_api_data_fresh(desk.pool) == (1, 0)


@pytest.mark.parametrize(("age", "outcome"), [(7, (0, 0)), (9, (1, 0)), (28, (1, 0)), (30, (1, 1))])
async def test_old_data_is_refreshed_or_deleted(
    desk: Desk, age: int, outcome: tuple[int, int]
) -> None:
    desk.report(3, views=5)
    await pull_video(desk.runtime, desk.video_id)
    await desk.pool.execute(
        "UPDATE analytics.video_analytics SET updated_at = now() - make_interval(days => $1)", age
    )
    await desk.pool.execute("SELECT analytics.ensure_month(now() - make_interval(days => $1))", age)
    await desk.pool.execute(
        'UPDATE analytics.video_metrics SET "timestamp" = now() - make_interval(days => $1)', age
    )
    assert await keep_api_data_fresh(desk.pool) == outcome
    left = await value(desk.pool, "SELECT count(*) FROM analytics.video_metrics")
    days = await value(desk.pool, "SELECT count(*) FROM analytics.video_analytics")
    assert (left, days) == ((0, 0) if outcome[1] else (1, 1))


@pytest.mark.parametrize(
    ("age_hours", "due_hours"),
    [(0, 6), (6, 24), (25, 48), (167, 168), (168, 336), (335, 336), (336, 504), (5000, 5040)],
)
def test_young_videos_are_pulled_more_often(age_hours: int, due_hours: int) -> None:
    due = next_pull(SINCE, SINCE + timedelta(hours=age_hours))
    assert due == SINCE + timedelta(hours=due_hours)


def test_video_that_is_out_later_is_pulled_after_it_is() -> None:
    assert next_pull(SINCE, SINCE - timedelta(days=3)) == SINCE + timedelta(hours=6)


async def alerts(desk: Desk) -> list[str]:
    rows = await desk.pool.fetch(
        "SELECT body->'data'->>'error' AS error FROM webhook_deliveries"
        " WHERE event = 'video.alert' AND recipient = 'alert' ORDER BY created_at"
    )
    return [row["error"] for row in rows]


async def test_video_that_turns_out_badly_is_told_once_a_problem(desk: Desk) -> None:
    video = desk.world.videos[desk.host_video_id]
    await pull_video(desk.runtime, desk.video_id)
    assert await alerts(desk) == []
    video["status"]["privacyStatus"] = "private"
    await pull_video(desk.runtime, desk.video_id)
    await pull_video(desk.runtime, desk.video_id)
    assert [error[:35] for error in await alerts(desk)] == ["the video was public and is private"]
    video["status"] |= {"uploadStatus": "rejected", "rejectionReason": "duplicate"}
    await pull_video(desk.runtime, desk.video_id)
    assert (await alerts(desk))[1:] == ["YouTube says of the video: rejected: duplicate"]
    del desk.world.videos[desk.host_video_id]
    for _ in range(2):
        with pytest.raises(Rejected):
            await pull_video(desk.runtime, desk.video_id)
    assert (await alerts(desk))[2:] == [f"YouTube has no video {desk.host_video_id}"]
