"""`ytempire workflow`: named, shown, switched off and on."""

import json
import time

import psycopg

from tests.acceptance.line import Line


def test_workflow_is_added_shown_and_switched(line: Line) -> None:
    line.add_small_channel()
    added = line.json(
        "workflow", "add", "daily", "--type", "content_generation", "--channel", "small",
        "--priority", "3", "--config", '{"topic": "Rain"}',
    )  # fmt: skip
    assert (added["name"], added["channel_name"], added["priority"]) == ("daily", "small", 3)
    assert [item["name"] for item in line.json("workflow", "list")["items"]] == ["daily", "line"]
    line.run("workflow", "disable", "daily")
    assert line.json("workflow", "show", "daily")["is_active"] is False
    line.run("workflow", "enable", "daily")
    shown = line.json("workflow", "show", "daily")
    assert (shown["is_active"], shown["configuration"]) == (True, {"topic": "Rain"})


def test_workflow_that_cannot_be_is_refused(line: Line) -> None:
    assert "address" in line.refuse("workflow", "add", "a/b", code=2)
    assert "cannot be triggered" in line.refuse("workflow", "add", "x", "--type", "tea", code=2)
    assert "priority" in line.refuse("workflow", "add", "x", "--config", '{"priority": 0}', code=2)
    assert "not JSON" in line.refuse("workflow", "add", "x", "--config", "{", code=2)
    line.refuse("workflow", "add", "x", "--channel", "nowhere", code=3)
    assert "already" in line.refuse("workflow", "add", "line", code=4)
    for verb in ("show", "enable", "disable"):
        line.refuse("workflow", verb, "nothing", code=3)


def test_scheduled_workflow_starts_by_the_clock(line: Line) -> None:
    line.add_small_channel()
    line.run("channel", "set", "small", "--timezone", "Europe/Berlin")
    added = line.json(
        "workflow", "add", "nightly", "--channel", "small", "--cron", "30 2 * * *",
        "--catch-up", "all", "--config", '{"topic": "Rain", "facts": ["Rain falls."]}',
    )  # fmt: skip
    assert (added["trigger_type"], added["timezone"], added["catch_up"]) == (
        "schedule", "Europe/Berlin", "all",
    )  # fmt: skip
    assert added["next_run_at"].endswith(":30:00Z")
    line.run("workflow", "disable", "nightly")
    assert line.json("workflow", "show", "nightly")["next_run_at"] is None
    line.run("workflow", "enable", "nightly")
    assert line.json("workflow", "show", "nightly")["next_run_at"] == added["next_run_at"]

    assert line.database_url is not None
    with psycopg.connect(line.database_url) as connection:
        connection.execute(
            "UPDATE automation_workflows SET next_run_at = next_run_at - interval '3 days'"
            " WHERE name = 'nightly'"
        )
    job = line.json(
        "enqueue", "maintenance.schedule", "--queue", "maintenance", "--payload", '{"timestamp": 0}'
    )
    line.start_worker("--queues", "maintenance")
    deadline = time.monotonic() + 120
    while line.json("job", "show", job["job_id"])["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    runs = line.json("run", "list")["items"]
    assert [run["video"]["title"] for run in runs] == ["Rain"] * 3
    shown = line.json("workflow", "show", "nightly")
    assert (shown["next_run_at"], shown["last_run_status"]) == (added["next_run_at"], "queued")


def test_schedule_that_cannot_be_kept_is_refused_with_the_reason(line: Line) -> None:
    line.add_small_channel()
    add = ("workflow", "add", "x", "--channel", "small")
    assert "out of range" in line.refuse(*add, "--cron", "61 * * * *", code=2)
    assert "never due" in line.refuse(*add, "--cron", "0 0 30 2 *", code=2)
    zone = line.refuse(*add, "--cron", "@daily", "--timezone", "Mars/Olympus", code=2)
    assert "no time zone" in zone
    assert "--cron" in line.refuse(*add, "--timezone", "UTC", code=2)
    assert "--channel" in line.refuse("workflow", "add", "x", "--cron", "@daily", code=2)
    assert line.json("workflow", "list")["items"][0]["name"] == "line"


def test_channel_is_changed_paused_and_produces_by_its_schedule(line: Line) -> None:
    line.add_small_channel()
    schedule = {"days": ["mon", "thu"], "times": ["09:00"], "lead_minutes": 30}
    line.run(
        "channel", "set", "small", "--upload-schedule", json.dumps(schedule),
        "--videos-per-day", "2", "--review", "--resolution", "720p", "--niche", "sea",
    )  # fmt: skip
    shown = line.json("channel", "show", "small")
    assert (shown["upload_schedule"], shown["videos_per_day"], shown["auto_publish"]) == (
        schedule, 2, False,
    )  # fmt: skip
    assert (shown["resolution"], shown["niche"], shown["language"]) == ("720p", "sea", "en")
    paused = line.json("channel", "pause", "small", "--reason", "holidays")
    assert (paused["status"], paused["status_reason"]) == ("paused", "holidays")
    refused = line.attempt("run", "start", "--channel", "small", "--topic", "Rain")
    assert refused.returncode != 0
    resumed = line.json("channel", "resume", "small")
    assert (resumed["status"], resumed["status_reason"]) == ("active", None)
    cleared = line.json("channel", "set", "small", "--upload-schedule", "{}", "--niche", "")
    assert (cleared["upload_schedule"], cleared["niche"]) == ({}, None)
    assert "HH:MM" in line.refuse(
        "channel", "set", "small", "--upload-schedule", '{"times": ["9"]}', code=2
    )
    assert "no time zone" in line.refuse("channel", "set", "small", "--timezone", "x", code=2)
    line.refuse("channel", "set", "nowhere", "--niche", "x", code=3)
    line.refuse("channel", "pause", "nowhere", code=3)
