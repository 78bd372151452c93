"""A public video is a success whatever becomes of its thumbnail, captions and playlist."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.acceptance.line import Line
from tests.acceptance.test_youtube_line import add_account, canary_account, ready
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import PACIFIC, Fault

DUE = """
    UPDATE workflow_steps
       SET output = replace(output::text, '"until": "2', '"until": "1')::jsonb
     WHERE step_name = 'upload';
    UPDATE youtube_accounts SET cooldown_until = NULL;
    UPDATE queue.job_queue SET scheduled_for = now(), next_retry_at = NULL
     WHERE job_type = 'maintenance.extras'
"""


def execute(line: Line, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(line.database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def extras(line: Line, run: str) -> dict[str, dict[str, Any]]:
    """The extras of a run that has succeeded, by name."""
    shown = line.json("run", "show", run)
    assert (shown["status"], shown["error"]) == ("success", None), shown
    assert shown["video"]["status"] == "published"
    return {extra["name"]: extra for extra in shown["extras"]}


def statuses(line: Line, run: str) -> dict[str, str]:
    return {name: extra["status"] for name, extra in extras(line, run).items()}


def until(line: Line, run: str, status: str) -> Any:
    """The run once it has this status."""
    deadline = time.monotonic() + 120
    while (shown := line.json("run", "show", run))["status"] != status:
        assert time.monotonic() < deadline, shown
        time.sleep(0.2)
    return shown


def jobs(line: Line) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = line.json("job", "list", "--type", "maintenance.extras")["items"]
    return items


def test_refused_extras_are_told_and_fail_nothing(on_youtube: Line, youtube: YouTubeServer) -> None:
    line = on_youtube
    ready(line, youtube)
    youtube.world.faults += [
        Fault("thumbnails.set", status=400, reason="invalidImage", domain="youtube.thumbnail"),
        Fault("playlistItems.insert", status=404, reason="playlistNotFound"),
        Fault("captions.insert", status=409, reason="captionExists", domain="youtube.caption"),
    ]
    run = line.start_small_run()
    line.run("worker", "--until-idle")

    told = extras(line, run)
    assert {name: extra["status"] for name, extra in told.items()} == {
        "thumbnail": "refused", "captions": "done", "playlist": "refused",
    }  # fmt: skip
    assert "invalidImage" in told["thumbnail"]["reason"]
    assert "playlistNotFound" in told["playlist"]["reason"]
    assert jobs(line) == []
    shown = line.run("run", "show", run)
    assert "thumbnail  refused: YouTube refused" in shown
    assert "captions   done" in shown
    (account,) = line.json("account", "list")["items"]
    assert (account["state"], account["health_score"]) == ("ready", 100)


def test_extras_without_quota_wait_for_the_next_day_and_are_then_added(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    # The day's units end within the extras: captions do not fit, and the account is benched.
    world = youtube.world
    world.hooks["thumbnails.set"] = lambda _: world.limits.update(default=units_used(youtube) + 10)
    run = line.start_small_run()
    line.run("worker", "--until-idle")

    told = extras(line, run)
    assert told["thumbnail"]["status"] == "done"
    tomorrow = datetime.now(PACIFIC).date() + timedelta(days=1)
    for name in ("captions", "playlist"):
        assert told[name]["status"] == "waits"
        assert "quotaExceeded" in told[name]["reason"]
        until = datetime.fromisoformat(told[name]["until"]).astimezone(PACIFIC)
        assert (until.date(), until.hour, until.minute) == (tomorrow, 0, 0)
    (job,) = jobs(line)
    assert datetime.fromisoformat(job["scheduled_for"]) == until
    assert len(youtube.asked("captions.insert")) == 1
    assert youtube.asked("playlistItems.insert") == []
    assert "captions   waits until" in line.run("run", "show", run)

    world.limits["default"] = 10_000
    execute(line, DUE)
    line.run("worker", "--until-idle")
    assert set(statuses(line, run).values()) == {"done"}
    (video,) = world.videos.values()
    assert list(world.captions[video["id"]]) == ["en"]
    assert world.playlists["PL_1"] == [video["id"]]
    assert len(youtube.asked("thumbnails.set")) == 1
    assert [job["status"] for job in jobs(line)] == ["completed"]


def units_used(youtube: YouTubeServer) -> int:
    return sum(used for (_, bucket, _), used in youtube.world.used.items() if bucket == "default")


def test_thumbnail_of_a_short_is_set_once_it_is_processed(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    line.add_small_channel("small", "--youtube-channel-id", "UC_own", "--vertical")
    add_account(line, canary_account(youtube, "UC_own"), "--channel", "small")
    youtube.world.shorts, youtube.world.unprocessed_reads = True, 1_000
    run = line.start_small_run()
    worker = line.start_worker()
    shown = until(line, run, "retrying")
    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait(60)
    assert "still processing" in shown["error"]
    assert shown["extras"][0]["status"] == "waits", shown
    assert "still processing" in shown["extras"][0]["reason"]
    assert youtube.asked("thumbnails.set") == []

    youtube.world.unprocessed_reads = 0
    for video in youtube.world.videos.values():
        video["status"]["uploadStatus"] = "processed"
    execute(
        line,
        DUE + ";UPDATE queue.job_queue SET next_retry_at = now() "
        "WHERE job_type = 'video.analytics_pull'",
    )
    line.run("worker", "--until-idle")
    assert set(statuses(line, run).values()) == {"done"}
    assert len(youtube.world.thumbnails) == 1


def test_limited_thumbnails_wait_and_the_run_does_not(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    youtube.world.faults.append(
        Fault("thumbnails.set", status=429, reason="uploadRateLimitExceeded")
    )
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    thumbnail = extras(line, run)["thumbnail"]
    assert thumbnail["status"] == "waits"
    assert datetime.fromisoformat(thumbnail["until"]) > datetime.now(UTC)
    execute(line, DUE)
    line.run("worker", "--until-idle")
    assert set(statuses(line, run).values()) == {"done"}


@pytest.mark.parametrize("reason", ["duplicate", "copyright"])
def test_rejected_video_fails_the_run_with_youtubes_reason(
    on_youtube: Line, youtube: YouTubeServer, reason: str
) -> None:
    line = on_youtube
    ready(line, youtube)
    youtube.world.rejection = reason
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "failed"
    assert f"rejected: {reason}" in shown["error"]


def test_account_that_changed_its_channel_meanwhile_publishes_nothing_and_is_disabled(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    account = ready(line, youtube)
    youtube.world.hooks["channels.list"] = lambda _: setattr(account, "channel_id", "UC_other")
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "failed"
    assert "UC_other" in shown["error"]
    (video,) = youtube.world.videos.values()
    assert (video["snippet"]["channelId"], video["status"]["privacyStatus"]) == (
        "UC_other", "private",
    )  # fmt: skip
    assert youtube.asked("videos.update") == []
    (listed,) = line.json("account", "list")["items"]
    assert listed["state"] == "disabled"


def test_scheduled_video_ends_its_run_and_a_later_pull_sees_it_go_public(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    at = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    run = line.start_small_run("--publish-at", at.isoformat())
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert (shown["status"], shown["video"]["status"]) == ("success", "completed"), shown
    assert {extra["status"] for extra in shown["extras"]} == {"done"}
    (video,) = youtube.world.videos.values()
    assert video["status"]["privacyStatus"] == "private"
    assert datetime.fromisoformat(video["status"]["publishAt"]) == at

    pulls = line.json("job", "list", "--type", "analytics.pull")["items"]
    assert [datetime.fromisoformat(pull["scheduled_for"]) for pull in pulls] == [
        at + timedelta(hours=6)
    ]
    youtube.world.clock = lambda: datetime.now(UTC) + timedelta(hours=8)
    execute(
        line,
        "UPDATE queue.job_queue SET scheduled_for = now() WHERE job_type = 'analytics.pull'",
    )
    line.run("worker", "--until-idle")
    assert line.json("run", "show", run)["video"]["status"] == "published"
