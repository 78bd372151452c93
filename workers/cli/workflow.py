"""`ytempire workflow`: what a webhook or the clock starts, under a name."""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from db.pool import Connection, transaction
from db.repositories.schedules import Schedules
from db.repositories.workflows import WorkflowRow, Workflows
from workers.channels import require_channel
from workers.cli.enqueue import read_payload
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    run_async,
)
from workers.cli.session import session
from workers.runs.starting import TRIGGERED_TYPE, RunRequest
from workers.scheduling.cron import Cron
from workers.scheduling.zones import BadSchedule

app = typer.Typer(help="Workflows: what webhooks and the clock start.", no_args_is_help=True)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Name = Annotated[str, typer.Argument(help="The workflow's name; the end of its address.")]


@app.command()
def add(
    name: Name,
    type_: Annotated[
        str, typer.Option("--type", help=f"{TRIGGERED_TYPE}: starts runs.")
    ] = TRIGGERED_TYPE,
    channel: Annotated[
        str | None, typer.Option(help="Its channel; a trigger may say another.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(help="When it starts: minute, hour, day, month, weekday; or @daily ..."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Whose clock; by default the channel's, else UTC.")
    ] = None,
    catch_up: Annotated[
        Literal["none", "latest", "all"],
        typer.Option(help="Missed starts: leave out, make up for the last, or for the last 24."),
    ] = "latest",
    priority: Annotated[int, typer.Option(min=1, max=10, help="1 is served first.")] = 5,
    config: Annotated[
        str, typer.Option(help="Default fields of its runs, a JSON object; @FILE, - for stdin.")
    ] = "{}",
    json: JsonFlag = False,
) -> None:
    """Add a workflow, triggered by POST /webhooks/NAME, and with --cron by the clock."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            "a workflow's name is 1 to 100 letters, digits, '.', '_' and '-': it is in an address",
            ExitCode.USAGE,
        )
    if type_ != TRIGGERED_TYPE:
        raise CommandError(f"{type_!r} cannot be triggered; give {TRIGGERED_TYPE}", ExitCode.USAGE)
    if timezone is not None and cron is None:
        raise CommandError("--timezone goes with --cron", ExitCode.USAGE)
    configuration = _configuration(config)
    if cron is not None and channel is None and "channel" not in configuration:
        raise CommandError(
            "a workflow with --cron needs a --channel: nobody says one when it starts",
            ExitCode.USAGE,
        )

    async def command() -> WorkflowRow:
        async with session() as opened, transaction(opened.pool) as connection:
            workflows = Workflows(connection)
            named = channel or (configuration.get("channel") if cron is not None else None)
            home = await require_channel(connection, named) if named else None
            zone = timezone or (home.timezone if home is not None else "UTC")
            inserted = await workflows.insert(
                name=name,
                workflow_type=type_,
                channel_id=home.id if home is not None and channel is not None else None,
                priority=priority,
                configuration=configuration,
                schedule_cron=cron,
                timezone=zone,
                catch_up=catch_up,
                next_run_at=_next(cron, zone) if cron is not None else None,
            )
            row = await workflows.find(name=name)
            if not inserted or row is None:
                raise CommandError(f"there is a workflow {name!r} already", ExitCode.CONFLICT)
            return row

    row = run_async(command)
    if json:
        print_json(_shown(row))
    elif row.next_run_at is not None:
        typer.echo(f"added workflow {name!r}: starts first at {row.next_run_at.isoformat()}")
    else:
        typer.echo(f"added workflow {name!r}: POST /webhooks/{name}")


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the workflows."""

    async def command() -> list[WorkflowRow]:
        async with session() as opened, transaction(opened.pool) as connection:
            await Schedules(connection).refresh_outcomes()
            return await Workflows(connection).list()

    rows = run_async(command)
    if json:
        print_json(as_items(_shown(row) for row in rows))
        return
    print_table(
        (
            "NAME",
            "TYPE",
            "TRIGGER",
            "CHANNEL",
            "PRIORITY",
            "STATUS",
            "NEXT RUN",
            "LAST RUN",
            "ENDED",
        ),
        (
            (
                row.name,
                row.workflow_type,
                row.trigger_type,
                row.channel_name,
                row.priority,
                "enabled" if row.is_active else "disabled",
                row.next_run_at,
                row.last_run_at,
                row.last_run_status,
            )
            for row in rows
        ),
        empty="no workflows",
    )


@app.command()
def show(name: Name, json: JsonFlag = False) -> None:
    """Show a workflow with its configuration, its next run, and what became of the last."""

    async def command() -> WorkflowRow:
        async with session() as opened, transaction(opened.pool) as connection:
            await Schedules(connection).refresh_outcomes()
            return await _find(connection, name)

    row = run_async(command)
    if json:
        print_json(_shown(row))
    else:
        print_table(("FIELD", "VALUE"), _shown(row).items(), empty="")


@app.command()
def enable(name: Name) -> None:
    """Let triggers and the clock start its runs again; what was due meanwhile is left out."""
    _set_active(name, True)


@app.command()
def disable(name: Name) -> None:
    """Refuse its triggers and stop its clock; runs under way go on."""
    _set_active(name, False)


def _set_active(name: str, active: bool) -> None:
    async def command() -> None:
        async with session() as opened, transaction(opened.pool) as connection:
            row = await _find(connection, name)
            following = row.next_run_at if active and row.is_active else None
            if active and row.schedule_cron is not None and following is None:
                following = _next(row.schedule_cron, row.timezone)
            await Workflows(connection).set_active(
                name=name, is_active=active, next_run_at=following
            )

    run_async(command)
    typer.echo(f"{'enabled' if active else 'disabled'} workflow {name!r}")


async def _find(connection: Connection, name: str) -> WorkflowRow:
    row = await Workflows(connection).find(name=name)
    if row is None:
        raise CommandError(f"there is no workflow {name!r}", ExitCode.NOT_FOUND)
    return row


def _next(cron: str, zone: str) -> datetime:
    try:
        return Cron.parse(cron, zone).next_after(datetime.now(UTC))
    except BadSchedule as error:
        raise CommandError(f"--cron, --timezone: {error}", ExitCode.USAGE) from None


def _configuration(text: str) -> dict[str, Any]:
    """The fields, checked as those of a run would be; a channel is not required."""
    try:
        fields = read_payload(text)
        RunRequest.model_validate({"channel": "any", **fields})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CommandError(f"--config: {problems}", ExitCode.USAGE) from None
    except (ValueError, TypeError, OSError) as error:
        raise CommandError(f"--config: {error}", ExitCode.USAGE) from error
    return fields


def _shown(row: WorkflowRow) -> dict[str, Any]:
    shown = asdict(row)
    del shown["updated_at"]
    return shown
