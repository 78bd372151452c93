"""`ytempire enqueue`: one job into the queue."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from db.pool import Pool, acquired, transaction
from db.repositories.jobs import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE
from db.repositories.jobs import enqueue as insert_job
from db.repositories.queues import Queues
from workers.cli.durations import parse_moment
from workers.cli.output import CommandError, ExitCode, JsonFlag, print_json
from workers.cli.queue_session import person, run
from workers.tasks.names import TASK_NAMES


def enqueue(
    job_type: Annotated[str, typer.Argument(help="Such as video.trend_pick.")],
    payload: Annotated[
        str, typer.Option(help="A JSON object; @FILE reads a file, - reads stdin.")
    ] = "{}",
    priority: Annotated[
        int, typer.Option(min=1, max=10, help="1 is served first.")
    ] = DEFAULT_PRIORITY,
    at: Annotated[
        str | None, typer.Option(help="An ISO 8601 time with its zone, or +DURATION: +90s, +2h.")
    ] = None,
    queue: Annotated[str, typer.Option(help="At most 40 bytes.")] = DEFAULT_QUEUE,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Runs at most, the first included.")
    ] = DEFAULT_MAX_ATTEMPTS,
    lock: Annotated[
        str | None, typer.Option(help="Jobs of one lock run one by one, in their order.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A repeat with the same key returns the first job.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even a job_type that no task here has.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put one job into the queue and print its id."""
    if not force:
        check_job_type(job_type)
    try:
        arguments = read_payload(payload)
    except (ValueError, TypeError, OSError) as error:
        raise CommandError(str(error), ExitCode.USAGE) from error

    async def operation(pool: Pool) -> str:
        moment = None
        if at is not None:
            async with acquired(pool) as connection:
                now = await Queues(connection).now()
            try:
                moment = parse_moment(at, now=now)
            except ValueError as error:
                raise CommandError(f"--at: {error}", ExitCode.USAGE) from error
        async with transaction(pool) as connection:
            job_id = await insert_job(
                connection,
                job_type=job_type,
                payload=arguments,
                queue=queue,
                priority=priority,
                scheduled_for=moment,
                max_attempts=max_attempts,
                lock=lock,
                idempotency_key=idempotency_key,
                requested_by=f"cli:{person()}"[:100],
            )
        return str(job_id)

    job_id = run(operation)
    if as_json:
        print_json({"job_id": job_id})
    else:
        typer.echo(job_id)


def check_job_type(job_type: str) -> None:
    """Refuse a job_type that no task of this version has: its job could only fail."""
    if job_type in TASK_NAMES:
        return
    near = difflib.get_close_matches(job_type, sorted(TASK_NAMES), n=1, cutoff=0.0)[0]
    raise CommandError(
        f"no task has the job_type {job_type[:100]!r}; the nearest is {near}. --force enqueues it "
        "all the same, for workers of another version",
        ExitCode.USAGE,
    )


def read_payload(text: str) -> dict[str, Any]:
    """The object that --payload names; ValueError, TypeError or OSError says what is
    wrong with it."""
    where = "--payload"
    if text == "-":
        text, where = sys.stdin.read(), "the payload on stdin"
    elif text.startswith("@"):
        where = f"the payload in {text[1:]}"
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise TypeError(f"{where} must be a JSON object such as {{}}, not {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
