"""Runs that are cancelled while real workers are at them, in every stage, and go on by a retry."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from pipeline.domain import StageName
from tests.acceptance.line import Line
from tests.acceptance.test_line import AT_THE_GATE, GATE, GATE_SQL, NO_GATE_SQL, published
from tests.acceptance.test_youtube_line import ready
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Fault
from tests.unit.pipeline.test_children import gone

PATIENCE_SECONDS = 60.0
STOPPING_SECONDS = 10.0
LIVE = (
    "SELECT count(*) FROM queue.job_queue WHERE status IN ('pending', 'processing')"
    " AND (job_type LIKE 'video.%' OR job_type = 'maintenance.settle_upload')"
)


async def until(what: Callable[[], Any], *, within: float = PATIENCE_SECONDS) -> Any:
    """Wait until `what` is true, and its value."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = what()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in time")


def processes_below(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *processes_below(int(child))]
    return found


async def test_run_cancelled_in_any_stage_is_recorded_or_cancelled_and_goes_on_by_a_retry(
    line: Line,
) -> None:
    """Each stage is stopped at the end of its record transaction and cancelled there: it is
    recorded, and the run cancelled at the next step, where a retry goes on."""
    line.add_small_channel()
    run = line.start_small_run()
    connection = await asyncpg.connect(line.database_url)
    worker = line.start_worker()
    try:
        for stage, following in zip(list(StageName)[:-1], list(StageName)[1:], strict=True):
            await connection.execute("SELECT pg_advisory_lock($1)", GATE)
            await connection.execute(GATE_SQL.format(stage=stage.value))
            if stage is not StageName.TREND_PICK:
                line.run("run", "retry", run)
            await until(lambda: connection.fetchval(AT_THE_GATE))
            cancelling = asyncio.create_task(
                asyncio.to_thread(line.json, "run", "cancel", run, "--reason", f"after {stage}")
            )
            await until(
                lambda: connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database() AND application_name = 'ytempire cli'"
                )
            )
            await connection.execute("SELECT pg_advisory_unlock($1)", GATE)
            shown = await cancelling
            await connection.execute(NO_GATE_SQL)
            assert (shown["status"], shown["current_step"]) == ("cancelled", following.value)
            steps = {step["name"]: step["status"] for step in shown["steps"]}
            assert (steps[stage.value], steps[following.value]) == ("success", "cancelled")
            await until(lambda: connection.fetchval(f"SELECT ({LIVE}) = 0"))
        line.run("run", "retry", run)
        shown = await until(
            lambda: (s := line.json("run", "show", run))["status"] == "success" and s
        )
        assert {step["status"] for step in shown["steps"]} == {"success"}
        assert len(published(line)) == 1
        assert await connection.fetchval("SELECT count(*) FROM video_uploads") == 1
        assert worker.poll() is None
        refused = line.refuse("run", "cancel", run, code=4)
        assert "has ended already" in refused
    finally:
        await connection.close()


async def test_cancelled_render_stops_within_seconds_and_leaves_no_process(line: Line) -> None:
    line.run("channel", "add", "large", "--resolution", "2160p")
    run = line.start_small_run(channel="large")
    worker = line.start_worker()
    connection = await asyncpg.connect(line.database_url)
    try:
        await until(
            lambda: any(
                "pipeline.render.artist" in Path(f"/proc/{pid}/cmdline").read_text()
                for pid in processes_below(worker.pid)
                if not gone(pid)
            )
        )
        await asyncio.sleep(1)
        drawing = processes_below(worker.pid)
        assert len(drawing) >= 2
        line.run("run", "cancel", run, "--reason", "too large")
        began = time.monotonic()
        await until(lambda: all(gone(pid) for pid in drawing), within=STOPPING_SECONDS)
        took = time.monotonic() - began
        ended = await until(
            lambda: connection.fetchval(
                "SELECT status FROM queue.job_queue WHERE job_type = 'video.render'"
                " AND status <> 'processing'"
            ),
            within=STOPPING_SECONDS,
        )
        assert ended == "aborted"
        assert took < STOPPING_SECONDS
        assert worker.poll() is None
        shown = line.json("run", "show", run)
        assert (shown["status"], shown["current_step"]) == ("cancelled", "render")
        assert shown["video"]["status"] == "failed"
        assert "too large" in shown["error"]
    finally:
        await connection.close()


class Held:
    """YouTube holds its answer to one request until it is let."""

    def __init__(self, youtube: YouTubeServer, operation: str, *, after: int = 0) -> None:
        self._youtube, self._operation, self._left = youtube, operation, after
        self.come, self.let = threading.Event(), threading.Event()
        youtube.world.hooks[operation] = self._hook

    def _hook(self, entry: Any) -> None:
        if self._left:
            self._left -= 1
            self._youtube.world.hooks[self._operation] = self._hook
            return
        self.come.set()
        self.let.wait(PATIENCE_SECONDS)


async def cancelled_while_held(line: Line, held: Held, run: str) -> dict[str, Any]:
    """Cancel the run while YouTube holds its answer; how it stands when all is settled."""
    line.start_worker()
    await asyncio.to_thread(held.come.wait, PATIENCE_SECONDS)
    assert held.come.is_set()
    line.run("run", "cancel", run, "--reason", "not this one")
    connection = await asyncpg.connect(line.database_url)
    try:
        await until(
            lambda: connection.fetchval(
                "SELECT status = 'aborted' FROM queue.job_queue WHERE job_type = 'video.upload'"
            ),
            within=STOPPING_SECONDS,
        )
        held.let.set()
        await until(lambda: connection.fetchval(f"SELECT ({LIVE}) = 0"))
    finally:
        held.let.set()
        await connection.close()
    shown: dict[str, Any] = line.json("run", "show", run)
    assert shown["status"] == "cancelled"
    return shown


async def test_upload_cancelled_before_its_last_chunk_is_given_up(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    run = line.start_small_run()
    youtube.world.faults.append(Fault("upload.put", "partial", keep=1000, times=2))
    shown = await cancelled_while_held(line, Held(youtube, "upload.put", after=1), run)
    assert shown["upload"]["status"] == "abandoned"
    assert youtube.world.videos == {}
    assert youtube.world.sessions == {}
    assert json.loads(line.attempt("doctor", "--json").stdout)["orphans"] == []

    line.run("run", "retry", run)
    await until(lambda: line.json("run", "show", run)["status"] == "success")
    (video,) = youtube.world.videos.values()
    assert video["status"]["privacyStatus"] == "public"


async def test_upload_cancelled_after_its_last_chunk_stays_private_and_is_listed(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    run = line.start_small_run()
    shown = await cancelled_while_held(line, Held(youtube, "upload.put"), run)
    (video,) = youtube.world.videos.values()
    assert video["status"]["privacyStatus"] == "private"
    assert (shown["upload"]["status"], shown["upload"]["youtube_video_id"]) == (
        "uploaded",
        video["id"],
    )
    assert "private at the host" in shown["upload"]["note"]
    (orphan,) = json.loads(line.attempt("doctor", "--json").stdout)["orphans"]
    assert (orphan["host_video_id"], orphan["host_channel_id"]) == (video["id"], "UC_own")
    assert "--from-step upload" in line.refuse("run", "retry", run, "--from-step", "script", code=4)

    line.run("run", "retry", run, "--from-step", "upload")
    await until(lambda: line.json("run", "show", run)["status"] == "success")
    assert list(youtube.world.videos) == [video["id"]]
    assert video["status"]["privacyStatus"] == "public"
