"""`ytempire channel`: where videos are published."""

import re
from typing import Annotated, Any

import typer

from db.pool import transaction
from db.repositories.channels import ChannelRow, Channels
from workers.channels import (
    HEIGHTS,
    NameTaken,
    NewChannel,
    add_local_channel,
    add_youtube_channel,
    require_channel,
)
from workers.cli.dollars import parse_dollars
from workers.cli.enqueue import read_payload
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    run_async,
    short,
)
from workers.cli.session import session
from workers.scheduling.slots import UploadSchedule
from workers.scheduling.zones import BadSchedule, time_zone

_PLAYLIST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_YOUTUBE_ID = re.compile(r"UC[A-Za-z0-9_-]{3,40}")

app = typer.Typer(help="Channels: where videos are published.", no_args_is_help=True)
SCHEDULE_HELP = (
    'When videos become public: {"days": ["mon", ...], "times": ["09:00", ...], "lead_minutes": N};'
    " @FILE, - for stdin; {} for never by itself."
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The channel's name, unique among yours.")],
    youtube_channel_id: Annotated[
        str | None, typer.Option(help="UC..., with YTEMPIRE_HOST_PROVIDER=youtube.")
    ] = None,
    playlist_id: Annotated[
        str | None, typer.Option(help="A playlist of the channel that every video joins.")
    ] = None,
    niche: Annotated[str | None, typer.Option(help="Only topics of this niche.")] = None,
    language: Annotated[str, typer.Option(help="BCP 47 tag of what is spoken.")] = "en",
    timezone: Annotated[str, typer.Option(help="IANA name, such as Europe/Berlin.")] = "UTC",
    videos_per_day: Annotated[int, typer.Option(min=0, max=10)] = 1,
    resolution: Annotated[str, typer.Option(help=f"One of {', '.join(HEIGHTS)}.")] = "1080p",
    vertical: Annotated[bool, typer.Option("--vertical", help="9:16 instead of 16:9.")] = False,
    auto_publish: Annotated[
        bool, typer.Option("--auto-publish/--review", help="Publish without a person's approval.")
    ] = True,
    upload_schedule: Annotated[str | None, typer.Option(help=SCHEDULE_HELP)] = None,
    daily_budget: Annotated[
        str | None, typer.Option(help="US dollars that its videos may cost a day (UTC).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Add a channel of the chosen host; one of the embedded host comes with its account."""
    cleaned = name.strip()
    if not cleaned or len(cleaned) > 100 or not cleaned.isprintable():
        raise CommandError("a channel's name has 1 to 100 printable characters", ExitCode.USAGE)
    check_values(resolution=resolution, timezone=timezone, playlist_id=playlist_id)
    new = NewChannel(
        name=cleaned,
        niche=niche,
        language=language,
        timezone=timezone,
        videos_per_day=videos_per_day,
        auto_publish=auto_publish,
        resolution=resolution,
        vertical=vertical,
        youtube_channel_id=youtube_channel_id,
        playlist_id=playlist_id,
        upload_schedule=read_schedule(upload_schedule) if upload_schedule else None,
        daily_budget=parse_dollars(daily_budget, "--daily-budget") if daily_budget else None,
    )
    if youtube_channel_id is not None and not _YOUTUBE_ID.fullmatch(youtube_channel_id):
        raise CommandError(
            f"{youtube_channel_id!r} is no id of a YouTube channel: UC and 3 to 40 letters,"
            " digits, - and _",
            ExitCode.USAGE,
        )

    async def command() -> ChannelRow:
        async with session() as opened:
            on_youtube = opened.settings.host_provider == "youtube"
            if youtube_channel_id is not None and not on_youtube:
                raise CommandError(
                    "--youtube-channel-id is for YTEMPIRE_HOST_PROVIDER=youtube; the embedded host"
                    " makes ids of its own",
                    ExitCode.USAGE,
                )
            add_channel = add_youtube_channel if on_youtube else add_local_channel
            try:
                async with transaction(opened.pool) as connection:
                    return await add_channel(connection, new)
            except NameTaken as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error

    row = run_async(command)
    if json:
        print_json(shown(row))
    else:
        typer.echo(f"added channel {row.name!r} ({short(row.id)})")


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the channels."""

    async def command() -> list[ChannelRow]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Channels(connection).list()

    rows = run_async(command)
    if json:
        print_json(as_items(shown(row) for row in rows))
        return
    print_table(
        ("ID", "NAME", "NICHE", "LANGUAGE", "FORMAT", "STATUS", "YOUTUBE CHANNEL"),
        (
            (
                short(row.id),
                row.name,
                row.niche,
                row.language,
                _format(row),
                row.status,
                row.youtube_channel_id,
            )
            for row in rows
        ),
        empty="no channels yet: ytempire channel add NAME",
    )


@app.command()
def show(
    channel: Annotated[str, typer.Argument(help="Name or id.")], json: JsonFlag = False
) -> None:
    """Show one channel."""

    async def command() -> ChannelRow:
        async with session() as opened, transaction(opened.pool) as connection:
            return await require_channel(connection, channel)

    row = run_async(command)
    if json:
        print_json(shown(row))
        return
    print_table(("FIELD", "VALUE"), shown(row).items(), empty="")


def check_values(*, resolution: str | None, timezone: str | None, playlist_id: str | None) -> None:
    """Refuse what no channel can have."""
    if resolution is not None and resolution not in HEIGHTS:
        raise CommandError(
            f"{resolution!r} is no resolution; give one of {', '.join(HEIGHTS)}", ExitCode.USAGE
        )
    if playlist_id and not _PLAYLIST_ID.fullmatch(playlist_id):
        raise CommandError(f"{playlist_id!r} is no id of a playlist", ExitCode.USAGE)
    try:
        if timezone is not None:
            time_zone(timezone)
    except BadSchedule as error:
        raise CommandError(str(error), ExitCode.USAGE) from None


def read_schedule(text: str) -> dict[str, Any]:
    """An upload schedule as given at the command line, checked, as it is stored."""
    try:
        stored = read_payload(text)
        UploadSchedule.read(stored)
    except (ValueError, TypeError, OSError) as error:
        raise CommandError(f"--upload-schedule: {error}", ExitCode.USAGE) from None
    return stored


def shown(row: ChannelRow) -> dict[str, Any]:
    """A channel as it is printed."""
    quality = row.quality_settings
    return {
        "id": row.id,
        "name": row.name,
        "youtube_channel_id": row.youtube_channel_id,
        "playlist_id": row.playlist_id,
        "niche": row.niche,
        "language": row.language,
        "timezone": row.timezone,
        "status": row.status,
        "status_reason": row.status_reason,
        "videos_per_day": row.videos_per_day,
        "daily_budget": row.daily_budget,
        "auto_publish": row.auto_publish,
        "automation_enabled": row.automation_enabled,
        "upload_schedule": row.upload_schedule,
        "resolution": quality.get("resolution", "1080p"),
        "vertical": bool(quality.get("vertical", False)),
        "created_at": row.created_at,
    }


def _format(row: ChannelRow) -> str:
    quality = shown(row)
    return f"{quality['resolution']}{' vertical' if quality['vertical'] else ''}"
