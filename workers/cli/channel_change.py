"""`ytempire channel set|pause|resume`: change a channel that is there."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

import typer

from db.pool import Connection, transaction
from db.repositories.channels import ChannelRow, Channels
from workers.channels import HEIGHTS, require_channel
from workers.cli.channel import SCHEDULE_HELP, check_values, read_schedule, shown
from workers.cli.dollars import parse_dollars
from workers.cli.output import CommandError, ExitCode, JsonFlag, print_json, run_async
from workers.cli.session import session

Named = Annotated[str, typer.Argument(help="Name or id.")]
Reason = Annotated[str, typer.Option(help="Kept with the channel.")]


def add_changes(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("set")(set_)
    app.command()(pause)
    app.command()(resume)


def set_(
    channel: Named,
    niche: Annotated[
        str | None, typer.Option(help="Only topics of this niche; '' for all.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="BCP 47 tag of what is spoken.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA name: whose clock slots go by.")
    ] = None,
    videos_per_day: Annotated[
        int | None, typer.Option(min=0, max=10, help="Made by itself on one day at most.")
    ] = None,
    upload_schedule: Annotated[str | None, typer.Option(help=SCHEDULE_HELP)] = None,
    automation: Annotated[
        bool | None, typer.Option("--automation/--no-automation", help="Keep its schedule or not.")
    ] = None,
    auto_publish: Annotated[
        bool | None, typer.Option("--auto-publish/--review", help="Without a person, or with one.")
    ] = None,
    resolution: Annotated[str | None, typer.Option(help=f"One of {', '.join(HEIGHTS)}.")] = None,
    vertical: Annotated[
        bool | None, typer.Option("--vertical/--horizontal", help="9:16, or 16:9.")
    ] = None,
    playlist_id: Annotated[
        str | None, typer.Option(help="A playlist every video joins; '' for none.")
    ] = None,
    daily_budget: Annotated[
        str | None, typer.Option(help="US dollars its videos may cost a day (UTC); '' for any.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Change what is given, and nothing else; runs under way keep what they began with, or see the
    change at their next stage."""
    check_values(resolution=resolution, timezone=timezone, playlist_id=playlist_id)
    stored = None if upload_schedule is None else read_schedule(upload_schedule)
    budget = {} if daily_budget is None else {"daily_budget": _budget(daily_budget)}
    given: dict[str, Any] = {
        "language": language,
        "timezone": timezone,
        "videos_per_day": videos_per_day,
        "upload_schedule": stored,
        "automation_enabled": automation,
        "auto_publish": auto_publish,
    }
    quality = {"resolution": resolution, "vertical": vertical}
    emptied = {"niche": niche, "playlist_id": playlist_id}

    async def change(connection: Connection, row: ChannelRow) -> None:
        changes = {
            "quality_settings": {**row.quality_settings, **_given(quality)},
            **_given(given),
            **{name: text or None for name, text in _given(emptied).items()},
            **budget,
        }
        await Channels(connection).update(replace(row, **changes))

    _change(channel, change, json=json)


def pause(channel: Named, reason: Reason = "", json: JsonFlag = False) -> None:
    """Start no new runs of a channel, by hand or by its schedule; those under way go on."""
    _switch(channel, "paused", reason, json=json)


def resume(channel: Named, reason: Reason = "", json: JsonFlag = False) -> None:
    """Let a channel have new runs again; slots that passed meanwhile are not made up for."""
    _switch(channel, "active", reason, json=json)


def _budget(text: str) -> Decimal | None:
    return parse_dollars(text, "--daily-budget") if text.strip() else None


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _switch(channel: str, status: str, reason: str, *, json: bool) -> None:
    async def change(connection: Connection, row: ChannelRow) -> None:
        done = await Channels(connection).set_status(
            channel_id=row.id, status=status, reason=reason or None
        )
        if not done:
            raise CommandError(f"channel {row.name!r} is {row.status}", ExitCode.CONFLICT)

    _change(channel, change, json=json)


def _change(
    channel: str, change: Callable[[Connection, ChannelRow], Awaitable[None]], *, json: bool
) -> None:
    """Change a channel under its lock, and print it as it is then."""

    async def command() -> ChannelRow:
        async with session() as opened, transaction(opened.pool) as connection:
            channels = Channels(connection)
            found = await require_channel(connection, channel)
            await channels.lock(channel_id=found.id)
            await change(connection, await channels.get(channel_id=found.id))
            return await channels.get(channel_id=found.id)

    row = run_async(command)
    if json:
        print_json(shown(row))
    else:
        typer.echo(f"channel {row.name!r} is {row.status}")
