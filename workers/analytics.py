"""Later pulls of a video's statistics: when each is due, what it writes, and what is deleted."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Accounts
from db.repositories.analytics import Analytics, PulledVideo
from db.repositories.jobs import enqueue
from db.repositories.trends import Trends
from db.repositories.videos import Videos
from pipeline.domain import Statistics, Visibility
from pipeline.errors import Rejected
from pipeline.hosting import HostedVideo
from pipeline.stages.trend_score import SCALES
from workers.accounts.trouble import afflict
from workers.callbacks.announcing import announce_video
from workers.extras import revive_extras
from workers.runtime import Runtime

JOB_TYPE = "analytics.pull"
QUEUE = "analytics"
SOURCE = "data_api"
EARLY = tuple(timedelta(hours=hours) for hours in (6, 24, 48, 72, 96, 120, 144, 168))
WEEK = timedelta(days=7)
FINAL_AFTER_DAYS = 4  # YouTube takes up to 72 hours for a day
STALE_DAYS = 8
REFRESH_DAYS = 20  # with a pull a week, no day's figures come to be older than 27 days
EXPIRE_DAYS = 29  # Google's terms: refreshed or deleted within 30 days


def next_pull(since: datetime, now: datetime) -> datetime:
    """When a video that is out since `since` is pulled next: often while it is young, then weekly.

    The moments depend on `since` alone, so that two chains of pulls fall into one.
    """
    for age in EARLY:
        if since + age > now:
            return since + age
    return since + ((now - since) // WEEK + 1) * WEEK


async def schedule_pull(connection: Connection, video_id: UUID, since: datetime) -> None:
    """Enqueue the next pull, once, in the caller's transaction."""
    due = next_pull(since, datetime.now(UTC))
    await enqueue(
        connection,
        job_type=JOB_TYPE,
        payload={"video_id": str(video_id)},
        queue=QUEUE,
        scheduled_for=due,
        idempotency_key=f"{JOB_TYPE}:{video_id}:{due:%Y%m%dT%H%M%S}",
    )


async def pull_video(runtime: Runtime, video_id: UUID) -> None:
    """Read a video's state, counters and daily reports, write them, and schedule the next pull.

    A repeat writes the same days again. Raises what the host raises; `Rejected` for a video that
    is not at YouTube.
    """
    async with transaction(runtime.pool) as connection:
        video = await Analytics(connection).find_video(video_id=video_id, refresh_days=REFRESH_DAYS)
        if video is None:
            raise Rejected(f"video {video_id} is not at YouTube: there is nothing to pull")
        account = await Accounts(connection).get(account_id=video.account_id)
    # Google's SDK is loaded where it is used.
    from pipeline.providers.youtube import YouTubeHost
    from pipeline.providers.youtube_reports import MONETARY_SCOPE, pull_days

    host = runtime.host_for(account, video.channel_name)
    if not isinstance(host, YouTubeHost):
        raise Rejected("YTEMPIRE_HOST_PROVIDER is not youtube: this video cannot be looked at")
    try:
        hosted = await host.inspect(video.host_video_id)
    except Rejected as error:
        await _write_loss(runtime.pool, video_id, video, str(error))
        raise
    counters = await host.statistics(video.host_video_id)
    reports = await pull_days(
        host.calls,
        video.host_video_id,
        video.first_day,
        video.today,
        revenue=MONETARY_SCOPE in video.scopes,
    )
    async with transaction(runtime.pool) as connection:
        await _write_state(connection, video_id, video, hosted, counters)
        analytics = Analytics(connection)
        await analytics.upsert_raw(
            request_key=f"{video_id}:{video.first_day}:{video.today}",
            channel_id=video.channel_id,
            host_channel_id=video.host_channel_id,
            data=reports.raw,
        )
        for report in reports.days:
            await analytics.upsert_day(
                video_id=video_id,
                day=report.day,
                views=report.views,
                watch_minutes=report.watch_minutes,
                average_seconds=report.average_view_seconds,
                average_percentage=report.average_view_percentage,
                likes=report.likes,
                comments=report.comments,
                shares=report.shares,
                revenue=report.revenue,
                is_final=(video.today - report.day).days >= FINAL_AFTER_DAYS,
            )
        await schedule_pull(connection, video_id, video.since)
        await revive_extras(connection, video_id)


async def _write_state(
    connection: Connection,
    video_id: UUID,
    video: PulledVideo,
    hosted: HostedVideo,
    counters: Statistics,
) -> None:
    problem = _problem(video, hosted, counters)
    if hosted.trouble is not None and problem != video.known_problem:
        await afflict(connection, hosted.trouble, str(problem))
    if problem is not None and problem != video.known_problem:
        # First, since it locks the run: everybody locks a run before its video.
        await announce_video(connection, video_id=video_id, problem=problem)
    videos = Videos(connection)
    await videos.set_counters(video_id=video_id, statistics=counters)
    await videos.upsert_metrics(video_id=video_id, source=SOURCE, statistics=counters)
    public = hosted.visibility is Visibility.PUBLIC
    scheduled = video.scheduled_publish_at
    if video.published_at is None and public:
        await Analytics(connection).set_public(
            video_id=video_id, published_at=scheduled or counters.at
        )
    if problem is not None:
        await videos.set_failed(video_id=video_id, error=problem)


async def _write_loss(pool: Pool, video_id: UUID, video: PulledVideo, problem: str) -> None:
    """The host has the video no more: no later pull will find it, so this is told now."""
    if problem == video.known_problem:
        return
    async with transaction(pool) as connection:
        await announce_video(connection, video_id=video_id, problem=problem)
        await Videos(connection).set_failed(video_id=video_id, error=problem)


def _problem(video: PulledVideo, hosted: HostedVideo, counters: Statistics) -> str | None:
    """What is wrong with a video that is out; None when nothing is."""
    if hosted.problem is not None:
        return f"YouTube says of the video: {hosted.problem}"
    if hosted.visibility is Visibility.PUBLIC:
        return None
    scheduled = video.scheduled_publish_at
    if scheduled is not None and scheduled < counters.at:
        return (
            f"the video was to be public at {scheduled:%Y-%m-%d %H:%M}Z and is"
            f" {hosted.visibility}: set it at YouTube by hand"
        )
    if video.published_at is not None and video.wanted_visibility == Visibility.PUBLIC:
        return f"the video was public and is {hosted.visibility}: somebody changed it at YouTube"
    return None


async def keep_api_data_fresh(pool: Pool) -> tuple[int, int]:
    """Enqueue pulls of what grows old, and delete what could not be refreshed in time; how many
    videos of each. Topics that came from YouTube's chart go with it."""
    async with transaction(pool) as connection:
        analytics = Analytics(connection)
        expired = await analytics.delete_expired(expire_days=EXPIRE_DAYS)
        await Trends(connection).forget_api_data(
            kept_days=SCALES["youtube"].keep.days, forget_days=EXPIRE_DAYS
        )
        stale = await analytics.list_stale(stale_days=STALE_DAYS)
        for video_id in stale:
            await enqueue(
                connection,
                job_type=JOB_TYPE,
                payload={"video_id": str(video_id)},
                queue=QUEUE,
                # Once a week: a video that YouTube has no more would be asked for every day.
                idempotency_key=f"{JOB_TYPE}:{video_id}:stale:{datetime.now(UTC):%G-%V}",
            )
    return len(stale), len(expired)
