"""`ytempire run`: start runs of the line and see how they go."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from db.pool import Connection, transaction
from db.repositories.executions import ExecutionListed, Executions
from db.repositories.trends import Trends
from pipeline.domain import ExecutionStatus
from workers.callbacks.rules import RefusedAddress
from workers.channels import require_channel
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    parse_cursor,
    parse_time,
    print_json,
    print_table,
    resolve_id,
    run_async,
    short,
    stdout,
)
from workers.cli.queue_session import person
from workers.cli.session import Session, session
from workers.cli.showing import show_overview
from workers.cli.watching import watch_runs
from workers.runs.overview import load_overview
from workers.runs.plan import RunPlan, plan_run
from workers.runs.preview_links import preview_url
from workers.runs.starting import NotWaiting, Started, approve_run, parse_request, start_run_once

app = typer.Typer(help="Runs: one video each, from topic to published.", no_args_is_help=True)

STATUSES = tuple(status.value for status in ExecutionStatus)


@app.command()
def start(
    channel: Annotated[str, typer.Option(help="The channel's name or id.")],
    topic: Annotated[str | None, typer.Option(help="What the video is about.")] = None,
    facts: Annotated[
        Path | None, typer.Option(help="A text file, one fact a line; goes with --topic.")
    ] = None,
    trend: Annotated[str | None, typer.Option(help="A stored topic's id.")] = None,
    publish_at: Annotated[str | None, typer.Option(help="When it becomes public.")] = None,
    priority: Annotated[int, typer.Option(min=1, max=10, help="1 is served first.")] = 5,
    callback_url: Annotated[str | None, typer.Option(help="Told when the run ends.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key again starts nothing new.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be made, and start nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch until the run ends.")] = False,
    json: JsonFlag = False,
) -> None:
    """Start a run; without topic or trend the channel's best stored topic is picked."""
    if topic and trend:
        raise CommandError("give --topic or --trend, not both", ExitCode.USAGE)
    if facts and not topic:
        raise CommandError("--facts goes with --topic", ExitCode.USAGE)
    given_facts = _read_facts(facts) if facts else ()
    at = parse_time(publish_at) if publish_at else None

    async def command() -> Started | RunPlan:
        async with session() as opened:
            body: dict[str, object] = {
                "channel": channel,
                "topic": topic,
                "facts": given_facts,
                "publish_at": at,
                "priority": priority,
                "callback_url": callback_url,
            }
            if callback_url is not None:
                _check_callback(opened, callback_url)
            if trend:
                body["trend_id"] = await _trend_id(opened, trend)
            asked = parse_request(body)
            if dry_run:
                return await plan_run(
                    opened.pool, opened.settings, asked, idempotency_key=idempotency_key
                )
            started = await start_run_once(opened.pool, asked, idempotency_key=idempotency_key)
            if not json:
                verb = "started" if started.new else "already started"
                stdout().print(f"{verb} run {started.execution_id}")
            if wait:
                await _wait(opened, [started.execution_id])
            return started

    started = run_async(command)
    if isinstance(started, RunPlan):
        if json:
            print_json(started.document())
        else:
            print_table(("WOULD BE", ""), started.document().items(), empty="")
    elif json:
        print_json(
            {
                "execution_id": started.execution_id,
                "video_id": started.video_id,
                "job_id": started.job_id,
                "status_url": f"/v1/runs/{started.execution_id}",
            }
        )


@app.command("list")
def list_(
    channel: Annotated[str | None, typer.Option(help="Only this channel's.")] = None,
    status: Annotated[str | None, typer.Option(help=f"One of {', '.join(STATUSES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the page before.")] = None,
    json: JsonFlag = False,
) -> None:
    """List runs, newest first."""
    if status is not None and status not in STATUSES:
        raise CommandError(
            f"{status!r} is no status; give one of {', '.join(STATUSES)}", ExitCode.USAGE
        )
    before, before_id = parse_cursor(cursor)

    async def command() -> Sequence[ExecutionListed]:
        async with session() as opened, transaction(opened.pool) as connection:
            channel_id = (await require_channel(connection, channel)).id if channel else None
            return await Executions(connection).list(
                channel_id=channel_id,
                status=status,
                before=before,
                before_id=before_id,
                limit=limit + 1,
            )

    rows = run_async(command)
    page = rows[:limit]
    more = f"{page[-1].created_at.isoformat()}|{page[-1].id}" if len(rows) > limit else None
    if json:
        print_json(as_items((_listed(row) for row in page), more))
        return
    print_table(
        ("ID", "CHANNEL", "TITLE", "STATUS", "STEP", "COST", "STARTED", "ERROR"),
        (
            (
                short(row.id),
                row.channel_name,
                row.title,
                row.status,
                row.current_step,
                f"{row.cost:.6f}",
                row.created_at,
                row.error_message,
            )
            for row in page
        ),
        empty="no runs yet: ytempire run start --channel C",
    )
    if more:
        stdout().print(f"more: --cursor '{more}'")


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="The run's id, or its start.")], json: JsonFlag = False
) -> None:
    """Show a run: its video, steps, cost and error; of a waiting one a link to its review page."""

    async def command() -> None:
        async with session() as opened, transaction(opened.pool) as connection:
            overview = await load_overview(connection, await run_id(connection, run))
        waits = overview.run.status == ExecutionStatus.WAITING
        link = preview_url(opened.settings, overview.run.id) if waits else None
        if json:
            print_json({**overview.document(), "preview_url": link})
        else:
            show_overview(stdout(), overview, preview=link)

    run_async(command)


@app.command()
def watch(
    run: Annotated[
        str | None, typer.Argument(help="The run's id, or its start; none: all active runs.")
    ] = None,
) -> None:
    """Follow runs until they end; Ctrl-C stops watching, not the runs."""

    async def command() -> None:
        async with session() as opened:
            async with transaction(opened.pool) as connection:
                if run is not None:
                    wanted = [await run_id(connection, run)]
                else:
                    rows = await Executions(connection).list(limit=1000)
                    wanted = [row.id for row in rows if not ExecutionStatus(row.status).ended]
            if not wanted:
                stdout().print("no run is active")
                return
            await _wait(opened, wanted)

    run_async(command)


@app.command()
def approve(run: Annotated[str, typer.Argument(help="The run's id, or its start.")]) -> None:
    """Let a run go on that waits for a person's approval."""

    async def command() -> UUID:
        async with session() as opened, transaction(opened.pool) as connection:
            execution_id = await run_id(connection, run)
            try:
                await approve_run(connection, execution_id, approved_by=person())
            except NotWaiting as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error
            return execution_id

    typer.echo(f"approved run {run_async(command)}")


async def run_id(connection: Connection, prefix: str) -> UUID:
    """The run's id from its start."""
    executions = Executions(connection)
    return await resolve_id("run", prefix, lambda text: executions.list_ids_like(prefix=text))


def _check_callback(opened: Session, url: str) -> None:
    try:
        opened.settings.callback_rules.check(url)
    except RefusedAddress as error:
        raise CommandError(f"--callback-url: {error}", ExitCode.USAGE) from None


async def _trend_id(opened: Session, prefix: str) -> UUID:
    async with transaction(opened.pool) as connection:
        trends = Trends(connection)
        return await resolve_id("trend", prefix, lambda text: trends.list_ids_like(prefix=text))


async def _wait(opened: Session, runs: Sequence[UUID]) -> None:
    ended = await watch_runs(opened.pool, runs)
    failed = [run for run in ended if run.status != ExecutionStatus.SUCCESS]
    if failed:
        raise CommandError(
            "; ".join(f"run {short(run.id)}: {run.status}: {run.error or ''}" for run in failed)
        )


def _listed(row: ExecutionListed) -> dict[str, object]:
    return {
        "id": row.id,
        "status": row.status,
        "current_step": row.current_step,
        "channel": {"id": row.channel_id, "name": row.channel_name},
        "video": {"id": row.video_id, "title": row.title},
        "cost": row.cost,
        "error": row.error_message,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "completed_at": row.completed_at,
        "next_retry_at": row.next_retry_at,
        "n8n_execution_id": row.n8n_execution_id,
    }


def _read_facts(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the facts in {file} cannot be read: {error}") from error
    facts = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not facts:
        raise CommandError(f"there is no fact in {file}: write one a line")
    return facts
