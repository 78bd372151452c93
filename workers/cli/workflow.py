"""`ytempire workflow`: what a webhook triggers, under a name."""

import re
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from db.pool import transaction
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
from workers.runs import RunRequest

app = typer.Typer(help="Workflows: what webhooks trigger, by name.", no_args_is_help=True)

TYPE = "content_generation"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Name = Annotated[str, typer.Argument(help="The workflow's name; the end of its address.")]


@app.command()
def add(
    name: Name,
    type_: Annotated[str, typer.Option("--type", help=f"{TYPE}: starts runs.")] = TYPE,
    channel: Annotated[
        str | None, typer.Option(help="Its channel; a trigger may say another.")
    ] = None,
    priority: Annotated[int, typer.Option(min=1, max=10, help="1 is served first.")] = 5,
    config: Annotated[
        str, typer.Option(help="Default fields of its runs, a JSON object; @FILE, - for stdin.")
    ] = "{}",
    json: JsonFlag = False,
) -> None:
    """Add a workflow, triggered by POST /webhooks/NAME."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            "a workflow's name is 1 to 100 letters, digits, '.', '_' and '-': it is in an address",
            ExitCode.USAGE,
        )
    if type_ != TYPE:
        raise CommandError(f"{type_!r} cannot be triggered; give {TYPE}", ExitCode.USAGE)
    configuration = _configuration(config)

    async def command() -> WorkflowRow:
        async with session() as opened, transaction(opened.pool) as connection:
            workflows = Workflows(connection)
            inserted = await workflows.insert(
                name=name,
                workflow_type=type_,
                channel_id=(await require_channel(connection, channel)).id if channel else None,
                priority=priority,
                configuration=configuration,
            )
            row = await workflows.find(name=name)
            if not inserted or row is None:
                raise CommandError(f"there is a workflow {name!r} already", ExitCode.CONFLICT)
            return row

    row = run_async(command)
    if json:
        print_json(_shown(row))
    else:
        typer.echo(f"added workflow {name!r}: POST /webhooks/{name}")


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the workflows."""

    async def command() -> list[WorkflowRow]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Workflows(connection).list()

    rows = run_async(command)
    if json:
        print_json(as_items(_shown(row) for row in rows))
        return
    print_table(
        ("NAME", "TYPE", "TRIGGER", "CHANNEL", "PRIORITY", "STATUS"),
        (
            (
                row.name,
                row.workflow_type,
                row.trigger_type,
                row.channel_name,
                row.priority,
                "enabled" if row.is_active else "disabled",
            )
            for row in rows
        ),
        empty="no workflows",
    )


@app.command()
def show(name: Name, json: JsonFlag = False) -> None:
    """Show a workflow with its configuration."""

    async def command() -> WorkflowRow:
        async with session() as opened, transaction(opened.pool) as connection:
            row = await Workflows(connection).find(name=name)
            if row is None:
                raise _missing(name)
            return row

    row = run_async(command)
    if json:
        print_json(_shown(row))
    else:
        print_table(("FIELD", "VALUE"), _shown(row).items(), empty="")


@app.command()
def enable(name: Name) -> None:
    """Let triggers start its runs again."""
    _set_active(name, True)


@app.command()
def disable(name: Name) -> None:
    """Refuse its triggers; runs under way go on."""
    _set_active(name, False)


def _set_active(name: str, active: bool) -> None:
    async def command() -> bool:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Workflows(connection).set_active(name=name, is_active=active)

    if not run_async(command):
        raise _missing(name)
    typer.echo(f"{'enabled' if active else 'disabled'} workflow {name!r}")


def _missing(name: str) -> CommandError:
    return CommandError(f"there is no workflow {name!r}", ExitCode.NOT_FOUND)


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
    return asdict(row)
