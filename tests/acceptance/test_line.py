"""A run from topic to published, and through the death of its workers."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import asyncpg

from pipeline.domain import StageName
from tests.acceptance.line import FACTS, Line

GATE = 7_001
GATE_SQL = """
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(7001); RETURN NEW; END $$;
    CREATE TRIGGER gate BEFORE UPDATE ON workflow_steps FOR EACH ROW
    WHEN (NEW.status = 'success' AND NEW.step_name = '{stage}') EXECUTE FUNCTION gate();
"""
NO_GATE_SQL = "DROP TRIGGER gate ON workflow_steps; DROP FUNCTION gate();"
AT_THE_GATE = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event = 'advisory' AND pid <> pg_backend_pid()
"""
STEP_STATUS = "SELECT status FROM workflow_steps WHERE execution_id = $1 AND step_name = $2"


def published(line: Line) -> list[Path]:
    return sorted(line.data_dir.glob("published/*/published/*.mp4"))


def words(text: str) -> list[str]:
    return text.split()


async def test_run_goes_from_topic_to_published(line: Line) -> None:
    line.add_small_channel()
    run = line.start_small_run()

    line.run("worker", "--until-idle")

    shown = line.json("run", "show", run[:8])
    assert shown["status"] == "success", shown
    assert [step["name"] for step in shown["steps"]] == [stage.value for stage in StageName]
    assert {step["status"] for step in shown["steps"]} == {"success"}
    assert {step["attempt"] for step in shown["steps"]} == {1}
    assert shown["video"]["status"] == "published"
    (film,) = published(line)
    assert shown["video"]["path"] == str(film)
    assert film.with_suffix(".jpg").stat().st_size > 0
    assert await _spoken(line, run) == _captioned(film.with_suffix(".srt"))


async def _spoken(line: Line, run: str) -> list[str]:
    script = await _value(line, "SELECT c.script FROM video_content c JOIN workflow_executions e "
                                "ON e.video_id = c.video_id WHERE e.id = $1", run)  # fmt: skip
    for fact in FACTS:
        assert fact.split()[0] in script
    return words(script)


def _captioned(file: Path) -> list[str]:
    cues = file.read_text(encoding="utf-8").strip().split("\n\n")
    return [word for cue in cues for line in cue.splitlines()[2:] for word in words(line)]


async def _value(line: Line, query: str, *arguments: Any) -> Any:
    connection = await asyncpg.connect(line.database_url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def test_run_survives_the_death_of_every_worker_in_every_stage(line: Line) -> None:
    """Each stage is stopped at the end of its record transaction, where all its work is done and
    nothing of it is committed; there its worker is killed."""
    line.add_small_channel()
    run = line.start_small_run()
    connection = await asyncpg.connect(line.database_url)
    try:
        for stage in StageName:
            await connection.execute(GATE_SQL.format(stage=stage.value))
            await connection.execute("SELECT pg_advisory_lock($1)", GATE)
            worker = line.start_worker()
            await _until_at_the_gate(connection, stage)
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            await connection.execute("SELECT pg_advisory_unlock($1)", GATE)
            assert await connection.fetchval(STEP_STATUS, run, stage.value) == "running"
            await connection.execute(NO_GATE_SQL)
        line.run("worker", "--until-idle")

        shown = line.json("run", "show", run)
        assert shown["status"] == "success", shown
        assert {step["attempt"] for step in shown["steps"]} == {2}
        # Its upload died among or after the extras: the job of theirs saw to them.
        assert [extra["status"] for extra in shown["extras"]] == ["done", "done"]
        extras = "SELECT status FROM queue.job_queue WHERE job_type = 'maintenance.extras'"
        assert [job["status"] for job in await connection.fetch(extras)] == ["completed"]
        assert len(published(line)) == 1
        calls = await connection.fetch("SELECT operation, idempotency_key FROM video_costs")
        operations = [call["operation"] for call in calls]
        assert operations.count("script.write") == 1
        assert operations.count("speech") == await _sections(connection)
        assert [row["status"] for row in await connection.fetch("TABLE video_uploads")] == [
            "published"
        ]
        jobs = await connection.fetch(
            "SELECT status, crashes FROM queue.job_queue WHERE job_type LIKE 'video.%'"
        )
        assert [tuple(job) for job in jobs] == [("completed", 1)] * len(StageName)
    finally:
        await connection.close()


async def _sections(connection: asyncpg.Connection) -> int:
    headings = await connection.fetchval("SELECT script_metadata->>'headings' FROM video_content")
    return len(json.loads(headings))


async def _until_at_the_gate(connection: asyncpg.Connection, stage: StageName) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if await connection.fetchval(AT_THE_GATE):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{stage} never came to its record")


async def test_plain_insert_makes_a_video(line: Line) -> None:
    line.add_small_channel()
    payload = {"channel": "small", "topic": "The octopus", "facts": list(FACTS)}
    await _value(
        line,
        "INSERT INTO queue.job_queue (job_type, payload) VALUES ('video.trend_pick', $1)",
        json.dumps(payload),
    )
    line.run("worker", "--until-idle")

    (listed,) = line.json("run", "list")["items"]
    assert listed["status"] == "success", listed["error"]
    assert len(published(line)) == 1


async def test_plain_insert_with_an_unknown_channel_fails_with_a_reason(line: Line) -> None:
    await _value(
        line,
        "INSERT INTO queue.job_queue (job_type, payload) VALUES ('video.trend_pick', $1)",
        json.dumps({"channel": "nowhere"}),
    )
    line.run("worker", "--until-idle")

    row = await _value(
        line,
        "SELECT status || ': ' || last_error FROM queue.job_queue "
        "WHERE job_type = 'video.trend_pick'",
    )
    assert row.startswith("failed: ")
    assert "there is no channel 'nowhere'" in row
    assert line.json("run", "list")["items"] == []


async def test_review_channel_publishes_nothing_before_it_is_approved(line: Line) -> None:
    line.add_small_channel("small", "--review")
    run = line.start_small_run()
    line.run("worker", "--until-idle")

    waiting = line.json("run", "show", run)
    assert (waiting["status"], waiting["current_step"]) == ("waiting", "upload")
    assert f"run approve {run}" in waiting["error"]
    assert not published(line)

    said = "SELECT script FROM video_content"
    first = await _value(line, said)
    line.run("run", "reject", run, "--reason", "too dry", "--to-step", "script")
    line.run("worker", "--until-idle")
    assert await _value(line, said) != first
    assert line.json("run", "show", run)["status"] == "waiting"
    line.run("run", "approve", run[:8])
    line.run("worker", "--until-idle")
    assert line.json("run", "show", run)["status"] == "success"
    assert len(published(line)) == 1
    assert "does not wait" in line.refuse("run", "approve", run, code=4)
