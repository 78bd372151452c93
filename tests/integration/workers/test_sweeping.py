"""What is cleared away, and what stays: stored files and scratch folders."""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import structlog

from db.pool import Pool, transaction
from db.repositories.videos import Videos
from pipeline.domain import Artifact, ArtifactKind
from pipeline.providers.store import ObjectStore
from tests.integration.workers.runs import add_channel, begin
from workers.sweeping import (
    ENDED_SCRATCH_SECONDS,
    SUCCESS_SCRATCH_SECONDS,
    UNKNOWN_SCRATCH_SECONDS,
    sweep_scratch,
    sweep_store,
)

DAY = timedelta(days=1)


class Shelf:
    """A store in a folder, and the video of a run that has ended."""

    def __init__(self, pool: Pool, folder: Path, run: UUID, video: UUID) -> None:
        self.pool, self.folder, self.run, self.video = pool, folder, run, video
        self.store = ObjectStore((folder / "artifacts").as_uri())

    async def put(self, content: bytes, *, named: bool, folder: str | None = None) -> Artifact:
        file = self.folder / "file.bin"
        file.write_bytes(content)
        artifact = await self.store.put(
            file,
            folder=folder or f"videos/{self.video}",
            kind=ArtifactKind.OTHER,
            media_type="application/json",
        )
        if named:
            async with transaction(self.pool) as connection:
                await Videos(connection).upsert_artifact(video_id=self.video, artifact=artifact)
        return artifact

    async def left(self) -> set[str]:
        return {file.url async for file in self.store.list_files("videos")}

    async def sweep(self, after: timedelta, *, dry_run: bool = False) -> tuple[int, int]:
        now = datetime.now(UTC) + after
        swept = await sweep_store(self.pool, self.store, dry_run=dry_run, now=now)
        return swept.removed, swept.announced


@pytest.fixture
async def shelf(pool: Pool, tmp_path: Path) -> Shelf:
    await add_channel(pool)
    started = await begin(pool)
    await end(pool, started.execution_id, "failed", timedelta(0))
    return Shelf(pool, tmp_path, started.execution_id, started.video_id)


async def end(pool: Pool, run: UUID, status: str, ago: timedelta) -> None:
    await pool.execute(
        "UPDATE workflow_executions SET status = $2,"
        " completed_at = clock_timestamp() - $3::interval WHERE id = $1",
        run,
        status,
        ago,
    )


async def test_file_without_a_row_goes_after_a_month_and_is_named_a_week_before(
    shelf: Shelf,
) -> None:
    named = await shelf.put(b"named", named=True)
    await shelf.put(b"unnamed", named=False)
    assert await shelf.sweep(22 * DAY) == (0, 0)
    with structlog.testing.capture_logs() as logs:
        assert await shelf.sweep(24 * DAY) == (0, 1)
    assert [entry["event"] for entry in logs] == ["artifact.unnamed"]
    assert await shelf.sweep(31 * DAY, dry_run=True) == (1, 0)
    assert len(await shelf.left()) == 2
    assert await shelf.sweep(31 * DAY) == (1, 0)
    assert await shelf.left() == {named.url}
    assert await shelf.sweep(400 * DAY) == (0, 0)


async def test_files_of_a_video_that_is_being_made_stay(shelf: Shelf) -> None:
    await shelf.put(b"unnamed", named=False)
    for status in ("queued", "running", "waiting", "retrying"):
        await shelf.pool.execute("UPDATE workflow_executions SET status = $1", status)
        assert await shelf.sweep(31 * DAY) == (0, 0)


async def test_half_written_file_goes_after_a_day_although_its_video_is_made(shelf: Shelf) -> None:
    stored = Path((await shelf.put(b"named", named=True)).url.removeprefix("file://"))
    left = stored.with_name(f".{stored.name}.{uuid4().hex}.tmp")
    left.write_bytes(b"nam")
    await shelf.pool.execute("UPDATE workflow_executions SET status = 'running'")
    assert await shelf.sweep(0.9 * DAY) == (0, 0)
    assert await shelf.sweep(1.1 * DAY) == (1, 0)
    assert await shelf.left() == {stored.as_uri()}


async def test_what_lies_in_no_videos_folder_is_left_alone(shelf: Shelf) -> None:
    await shelf.put(b"mine", named=False, folder="videos/not-an-id")
    assert await shelf.sweep(400 * DAY) == (0, 0)


@pytest.mark.parametrize(
    ("status", "seconds"),
    [
        ("success", SUCCESS_SCRATCH_SECONDS),
        ("failed", ENDED_SCRATCH_SECONDS),
        ("cancelled", ENDED_SCRATCH_SECONDS),
        ("timeout", ENDED_SCRATCH_SECONDS),
    ],
)
async def test_scratch_of_an_ended_run_goes_after_a_while(
    shelf: Shelf, status: str, seconds: float
) -> None:
    work = shelf.folder / "work"
    place = work / str(shelf.run) / "render"
    place.mkdir(parents=True)
    (place / "segment.mp4").write_bytes(b"x")
    (work / "notes").mkdir()
    await end(shelf.pool, shelf.run, status, timedelta(seconds=seconds - 60))
    assert await sweep_scratch(shelf.pool, work) == 0
    await end(shelf.pool, shelf.run, status, timedelta(seconds=seconds + 60))
    assert await sweep_scratch(shelf.pool, work) == 1
    assert [entry.name for entry in work.iterdir()] == ["notes"]


async def test_scratch_of_an_unknown_run_goes_after_a_day_and_of_an_active_one_never(
    shelf: Shelf,
) -> None:
    work = shelf.folder / "work"
    for id_ in (shelf.run, uuid4()):
        (work / str(id_)).mkdir(parents=True)
    await shelf.pool.execute(
        "UPDATE workflow_executions SET status = 'running', completed_at = NULL"
    )
    assert await sweep_scratch(shelf.pool, work) == 0
    old = datetime.now(UTC).timestamp() - UNKNOWN_SCRATCH_SECONDS - 60
    for place in work.iterdir():
        os.utime(place, (old, old))
    assert await sweep_scratch(shelf.pool, work) == 1
    assert [entry.name for entry in work.iterdir()] == [str(shelf.run)]


async def test_one_process_of_a_host_sweeps_at_a_time(shelf: Shelf) -> None:
    work = shelf.folder / "work"
    (work / str(shelf.run)).mkdir(parents=True)
    await end(shelf.pool, shelf.run, "success", DAY)
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert await sweep_scratch(shelf.pool, work) == 0
    finally:
        os.close(descriptor)
    assert await sweep_scratch(shelf.pool, work) == 1
    assert await sweep_scratch(shelf.pool, shelf.folder / "nowhere") == 0
