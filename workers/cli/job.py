"""`ytempire job`: look at jobs, and do by hand what the queue does not do by itself."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import structlog
import typer

from db.pool import Pool, acquired
from db.repositories.jobs import ENDED, Attempt, Job, Jobs
from db.repositories.queues import Queues
from workers.cli.durations import parse_duration
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    short,
)
from workers.cli.queue_session import ago, full_id, note_of, run
from workers.queue.retention import prune

logger = structlog.get_logger(__name__)

MOST_BY_FILTER = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Status(StrEnum):
    """The statuses of a job, as --status takes them."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"


Change = Callable[[Jobs, UUID], Awaitable[tuple[bool, str]]]

app = typer.Typer(help="List, show, retry, cancel and purge jobs.", no_args_is_help=True)

OfStatus = Annotated[Status | None, typer.Option("--status", help="Only jobs in this status.")]
OfType = Annotated[str | None, typer.Option("--type", help="Only this job_type.")]
OfQueue = Annotated[str | None, typer.Option("--queue", help="Only this queue.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in last_error.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids or their beginnings.")
]


@app.command("list")
def list_jobs(
    status: OfStatus = None,
    job_type: OfType = None,
    queue: OfQueue = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the page before.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List jobs, the newest first."""
    before = None if cursor is None else _read_cursor(cursor)

    async def operation(pool: Pool) -> None:
        async with acquired(pool) as connection:
            jobs = await Jobs(connection).list(
                status=status,
                job_type=job_type,
                queue=queue,
                before=before,
                most=limit,
            )
            now = await Queues(connection).now()
        more = _cursor_after(jobs[-1]) if len(jobs) == limit else None
        if as_json:
            print_json(as_items(jobs, more))
            return
        print_table(
            ["id", "type", "queue", "prio", "status", "attempts", "created", "due", "last error"],
            (
                (
                    short(job.id),
                    job.job_type,
                    job.queue,
                    job.priority,
                    job.status,
                    f"{job.attempts}/{job.max_attempts or '-'}",
                    ago(job.created_at, now),
                    ago(job.next_retry_at or job.scheduled_for, now)
                    if job.status == "pending"
                    else "",
                    (job.last_error or "").partition("\n")[0][:60],
                )
                for job in jobs
            ),
            empty="no such jobs",
        )
        if more is not None:
            typer.echo(f"more: --cursor {more}", err=True)

    run(operation)


def _cursor_after(job: Job) -> str:
    """Where the next page begins: the microsecond of the job's creation, and its seq."""
    return f"{(job.created_at - EPOCH) // timedelta(microseconds=1)}.{job.seq}"


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    found = re.fullmatch(r"(-?\d{1,18})\.(\d{1,18})", cursor, re.ASCII)
    try:
        if found is not None:
            return EPOCH + timedelta(microseconds=int(found[1])), int(found[2])
    except OverflowError:
        pass
    raise CommandError("--cursor takes the next_cursor of a former page", ExitCode.USAGE)


@app.command()
def show(job_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonFlag = False) -> None:
    """Show one job with its payload and the history of its attempts."""

    async def operation(pool: Pool) -> tuple[Job, list[Attempt]]:
        found = await full_id(pool, job_id)
        async with acquired(pool) as connection:
            job = await Jobs(connection).get(found)
            if job is None:
                raise CommandError(f"job {found} is gone", ExitCode.NOT_FOUND)
            return job, await Jobs(connection).attempts(found)

    job, attempts = run(operation)
    document = {**asdict(job), "history": [asdict(attempt) for attempt in attempts]}
    if as_json:
        print_json(document)
        return
    width = max(map(len, document))
    for name, value in document.items():
        if value is not None and name != "history":
            typer.echo(f"{name:{width}}  {value}")
    for attempt in attempts:
        typer.echo(
            f"{'run ' + str(attempt.attempt):{width}}  {attempt.started_at.isoformat()}  "
            f"{attempt.outcome}  worker {attempt.worker_id}  {attempt.error_message or ''}"
        )


@app.command()
def retry(
    ids: Ids = None,
    status: OfStatus = None,
    job_type: OfType = None,
    queue: OfQueue = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Run jobs again, with all their attempts: failed, cancelled and aborted ones, or waiting ones
    at once. By id, or by filter (--status failed if only a type or queue is given)."""

    async def change(jobs: Jobs, job_id: UUID) -> tuple[bool, str]:
        result, waiting = await jobs.restart(job_id, note=None if reason is None else note)
        if result == "restarted":
            return True, "retried"
        if waiting is not None:
            return False, f"job {waiting} waits with the same queueing lock"
        return False, f"is {result}" + (" and ready" if result == "pending" else "")

    note = note_of("retried", reason)
    statuses = [status.value] if status else ["failed"]
    _by_hand("retry", change, ids, statuses, job_type, queue, status, dry_run, yes, as_json)


@app.command()
def cancel(
    ids: Ids = None,
    status: OfStatus = None,
    job_type: OfType = None,
    queue: OfQueue = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Cancel waiting jobs and ask running ones to abort. By id, or by filter."""

    async def change(jobs: Jobs, job_id: UUID) -> tuple[bool, str]:
        result = await jobs.cancel(job_id, note=note_of("cancelled", reason))
        if result is None:
            return False, "has already ended"
        return True, "asked to abort" if result == "processing" else "cancelled"

    statuses = [status.value] if status else ["pending", "processing"]
    _by_hand("cancel", change, ids, statuses, job_type, queue, status, dry_run, yes, as_json)


@app.command()
def purge(
    older_than: Annotated[str, typer.Option(help="Ended at least so long ago: 30d, 12h.")],
    status: OfStatus = None,
    reason: Annotated[str | None, typer.Option(help="Why; written to the log.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete ended jobs and their history, in small batches."""
    try:
        age = parse_duration(older_than)
    except ValueError as error:
        raise CommandError(f"--older-than: {error}", ExitCode.USAGE) from error
    statuses = [status.value] if status else list(ENDED)
    if status and status.value not in ENDED:
        raise CommandError(
            f"--status: a {status} job has not ended; cancel it first", ExitCode.USAGE
        )

    async def count(pool: Pool) -> int:
        async with acquired(pool) as connection:
            return await Jobs(connection).count_ended(
                older_than_seconds=age.total_seconds(), statuses=statuses
            )

    async def delete(pool: Pool) -> int:
        return await prune(pool, older_than=age, statuses=statuses)

    found = run(count)
    if not dry_run and found and not yes:
        typer.confirm(
            f"Delete {found} jobs that ended over {older_than} ago?", abort=True, err=True
        )
    deleted = 0 if dry_run or not found else run(delete)
    if deleted:
        logger.info("jobs.purged", jobs=deleted, note=note_of("purged", reason))
    if as_json:
        print_json({"found": found, "deleted": deleted, "dry_run": dry_run})
    else:
        typer.echo(f"{found} jobs would be deleted" if dry_run else f"{deleted} jobs deleted")


def _by_hand(
    verb: str,
    change: Change,
    ids: list[str] | None,
    statuses: list[str],
    job_type: str | None,
    queue: str | None,
    status: Status | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Do one thing to each of the jobs named by id or by filter, and say what became of each."""
    filtered = bool(status or job_type or queue)
    if bool(ids) == filtered:
        raise CommandError(
            f"name the jobs to {verb}: by id, or by --status, --type or --queue", ExitCode.USAGE
        )

    async def select(pool: Pool) -> list[UUID]:
        if ids:
            return [await full_id(pool, prefix) for prefix in ids]
        async with acquired(pool) as connection:
            return await Jobs(connection).select_ids(
                statuses=statuses, job_type=job_type, queue=queue, most=MOST_BY_FILTER
            )

    async def apply(pool: Pool) -> list[dict[str, object]]:
        results: list[dict[str, object]] = []
        async with acquired(pool) as connection:
            for job_id in selected:
                done, text = await change(Jobs(connection), job_id)
                results.append({"id": str(job_id), "changed": done, "result": text})
        return results

    selected = run(select)
    if filtered and not dry_run and not yes and selected:
        typer.confirm(f"{verb.capitalize()} {len(selected)} jobs?", abort=True, err=True)
    if dry_run:
        results = [{"id": str(i), "changed": False, "result": f"would {verb}"} for i in selected]
    else:
        results = run(apply)
    if as_json:
        print_json(as_items(results))
    else:
        for result in results:
            typer.echo(f"{str(result['id'])[:8]}  {result['result']}")
        if not results:
            typer.echo("no such jobs")
    if ids and not dry_run and not all(result["changed"] for result in results):
        raise typer.Exit(ExitCode.CONFLICT)
