"""Checks of what is ours: folder, disk, schema, clock and queue."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from db.pool import acquired
from db.repositories.findings import Findings
from db.repositories.queues import Queues
from workers.disk import FLOOR_BYTES, folders_of, free_bytes
from workers.doctor.finding import Examined, Finding, error, ok, warning

GIGABYTE = 1024**3
LITTLE_DISK_BYTES = 5 * GIGABYTE
SMALL_SKEW_SECONDS = 2.0
LARGE_SKEW_SECONDS = 30.0
LONG_WAIT_SECONDS = 600.0


async def data_folder(examined: Examined) -> Sequence[Finding]:
    """The folder can be written to by this user."""
    folder = examined.settings.data_dir
    if not folder.exists():
        return [ok("data_folder", f"{folder} will be made when it is needed")]
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return [error("data_folder", f"YTEMPIRE_DATA_DIR: {folder} cannot be written to")]
    return [ok("data_folder", f"{folder} can be written to")]


async def disk(examined: Examined) -> Sequence[Finding]:
    """There is room to render."""
    free, folder = min((free_bytes(each), each) for each in folders_of(examined.settings))
    told = f"{free / GIGABYTE:.1f} GiB are free at {folder}"
    low = [queue for queue, floor in FLOOR_BYTES.items() if free < floor]
    if low:
        kept = f"workers of this host take no job from {', '.join(low)} until there is more"
        return [error("disk", f"{told}; {kept}")]
    return [warning("disk", told) if free < LITTLE_DISK_BYTES else ok("disk", told)]


async def schema(examined: Examined) -> Sequence[Finding]:
    """The database has the schema of this version."""
    if examined.url is None:
        return []
    from db.migrate import status

    found = await asyncio.to_thread(status, examined.url)
    if found.pending:
        told = f"{len(found.pending)} migrations are not applied"
        return [error("schema", told, "ytempire db migrate")]
    return [ok("schema", f"at {found.current}")]


async def clock(examined: Examined) -> Sequence[Finding]:
    """This host and the database agree on the time."""
    if examined.pool is None:
        return []
    async with acquired(examined.pool) as connection:
        before = datetime.now(UTC)
        theirs = await Findings(connection).now()
        after = datetime.now(UTC)
    ours = before + (after - before) / 2
    return [skew("clock", "the database's", (theirs - ours).total_seconds())]


def skew(check: str, whose: str, seconds: float) -> Finding:
    """What it means that another clock is `seconds` ahead of this host's."""
    told = f"{whose} clock is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'} of ours"
    if abs(seconds) > LARGE_SKEW_SECONDS:
        return error(check, f"{told}: set the clocks by NTP")
    return warning(check, told) if abs(seconds) > SMALL_SKEW_SECONDS else ok(check, told)


async def queue(examined: Examined) -> Sequence[Finding]:
    """Somebody works, and nothing waits long."""
    if examined.pool is None:
        return []
    async with acquired(examined.pool) as connection:
        queues = await Queues(connection).status()
        workers = await Findings(connection).count_workers()
    findings = [
        warning(
            "queue",
            f"queue {q.queue} is paused by {q.paused_by}: {q.reason or 'no reason given'}",
            f"ytempire queue resume {q.queue}",
        )
        for q in queues
        if q.paused_at is not None
    ]
    findings += [
        warning("queue", f"queue {q.queue} has had a job ready for {q.oldest_seconds:.0f} s",
                "ytempire worker")
        for q in queues
        if q.paused_at is None and (q.oldest_seconds or 0) > LONG_WAIT_SECONDS
    ]  # fmt: skip
    if not workers and any(q.ready or q.scheduled for q in queues):
        findings.append(warning("queue", "jobs wait and no worker runs", "ytempire worker"))
    return findings or [ok("queue", f"{workers} workers run, nothing waits for long")]
