"""Clearing away what nobody will come back to: stored files without a row, scratch folders of runs.

Stored files are swept by a daily job, for the store is everybody's: one that no row names goes
after 30 days; a week before that the log names it. Scratch is each host's own: every worker process
looks through it once an hour, one at a time.
"""

import asyncio
import fcntl
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog

from db.errors import DatabaseError
from db.pool import Pool, acquired
from db.repositories.sweeps import Sweeps, SweptRun
from pipeline.domain import ExecutionStatus
from pipeline.ports import ArtifactStore
from pipeline.storing import StoredFile

log = structlog.get_logger()

VIDEOS = "videos"
UNNAMED_KEPT = timedelta(days=30)
ANNOUNCED_BEFORE = timedelta(days=7)
TEMPORARY_KEPT = timedelta(days=1)
BATCH = 500
#: A retry goes on with the segments that are there: those of a failed run are kept for a while.
SUCCESS_SCRATCH_SECONDS = 3600.0
ENDED_SCRATCH_SECONDS = 7 * 86400.0
UNKNOWN_SCRATCH_SECONDS = 86400.0
HOST_SWEEP_SECONDS = 3600.0
_VIDEO = re.compile(rf"/{VIDEOS}/([0-9a-f-]{{36}})/")


@dataclass(slots=True)
class Swept:
    """What a look through the store found: files of no row that went, or would have, and those that
    will within a week; bytes of the former."""

    removed: int = 0
    announced: int = 0
    size_bytes: int = 0


async def sweep_store(
    pool: Pool, store: ArtifactStore, *, dry_run: bool = False, now: datetime | None = None
) -> Swept:
    """Remove what writers left half written a day ago, and files of videos that are 30 days old
    and that no row names. A repeat finds less. With `dry_run` nothing is removed, all is logged.

    Raises what the store raises.
    """
    moment, swept = now or datetime.now(UTC), Swept()
    async for batch in _batches(store.list_files(VIDEOS)):
        for file in await _unnamed(pool, batch):
            age = moment - file.modified
            if age < (TEMPORARY_KEPT if file.temporary else UNNAMED_KEPT):
                if not file.temporary and age >= UNNAMED_KEPT - ANNOUNCED_BEFORE:
                    swept.announced += 1
                    log.info("artifact.unnamed", url=file.url, goes_at=file.modified + UNNAMED_KEPT)
                continue
            log.info("artifact.swept", url=file.url, size_bytes=file.size_bytes, dry_run=dry_run)
            swept.removed += 1
            swept.size_bytes += file.size_bytes
            if not dry_run:
                await store.remove(file.url)
    return swept


async def _batches(files: AsyncIterator[StoredFile]) -> AsyncIterator[list[StoredFile]]:
    batch: list[StoredFile] = []
    async for file in files:
        batch.append(file)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _unnamed(pool: Pool, files: Sequence[StoredFile]) -> list[StoredFile]:
    """Those that no row names. What lies below no video's folder is not ours to judge."""
    found = {file.url: match for file in files if (match := _VIDEO.search(file.url))}
    videos = {url: _uuid(match[1]) for url, match in found.items()}
    judged = [file for file in files if videos.get(file.url) is not None]
    async with acquired(pool) as connection:
        kept = await Sweeps(connection).list_kept(
            urls=[file.url for file in judged],
            video_ids=[video for file in judged if (video := videos[file.url]) is not None],
        )
    return [file for file in judged if file.temporary or file.url not in kept]


async def sweep_scratch(pool: Pool, folder: Path) -> int:
    """Remove the scratch folders of runs that have ended long enough ago, or are not there; how
    many. Nothing while another process of this host is at it."""
    if not folder.is_dir():
        return 0
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        places = await asyncio.to_thread(_places, folder)
        async with acquired(pool) as connection:
            runs = await Sweeps(connection).list_runs(execution_ids=list(places))
        known = {run.id: run for run in runs}
        gone = [place for id_, place in places.items() if _is_over(known.get(id_), place)]
        for place in gone:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        return len(gone)
    finally:
        os.close(descriptor)


def _places(folder: Path) -> dict[UUID, Path]:
    """The scratch folder of each run; what else lies there is left alone."""
    named = ((_uuid(place.name), place) for place in folder.iterdir())
    return {id_: place for id_, place in named if id_ is not None and place.is_dir()}


def _is_over(run: SweptRun | None, place: Path) -> bool:
    if run is None:
        with suppress(FileNotFoundError):
            return time.time() - place.stat().st_mtime > UNKNOWN_SCRATCH_SECONDS
        return False
    if run.ended_seconds is None:
        return False
    success = run.status == ExecutionStatus.SUCCESS
    return run.ended_seconds > (SUCCESS_SCRATCH_SECONDS if success else ENDED_SCRATCH_SECONDS)


async def keep_scratch(pool: Pool, folder: Path) -> None:
    """Sweep this host's scratch now and once an hour, until cancelled; never raises otherwise."""
    while True:
        try:
            removed = await sweep_scratch(pool, folder)
            if removed:
                log.info("scratch.swept", folders=removed)
        except (DatabaseError, OSError) as error:
            log.warning("scratch.not_swept", error=str(error))
        await asyncio.sleep(HOST_SWEEP_SECONDS)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
