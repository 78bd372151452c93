"""Channels between their row and the stages, and how one is added."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.repositories.accounts import Accounts
from db.repositories.channels import ChannelRow, Channels
from pipeline.domain import Channel, VideoFormat, Visibility
from pipeline.errors import Rejected

HEIGHTS: Mapping[str, int] = {
    "360p": 360,
    "720p": 720,
    "1080p": 1080,
    "1440p": 1440,
    "2160p": 2160,
}
FPS = 30
DEFAULT_YOUTUBE_CATEGORY = "27"  # Education
# The embedded host sets no limit of its own; the column needs a number.
LOCAL_UPLOADS_PER_DAY = 1_000_000


class NotFound(Rejected):
    """What was named is not there."""


class NameTaken(Exception):
    """A channel with this name exists."""


@dataclass(frozen=True, slots=True)
class NewChannel:
    """What an operator says of a channel; `resolution` is one of `HEIGHTS`."""

    name: str
    niche: str | None = None
    language: str = "en"
    timezone: str = "UTC"
    videos_per_day: int = 1
    auto_publish: bool = True
    resolution: str = "1080p"
    vertical: bool = False
    youtube_channel_id: str | None = None
    playlist_id: str | None = None
    upload_schedule: Mapping[str, Any] | None = None
    daily_budget: Decimal | None = None


def video_format(resolution: str, *, vertical: bool) -> VideoFormat:
    """16:9 (or 9:16) with the resolution's number as the shorter side, as YouTube names them."""
    short = HEIGHTS[resolution]
    long = short * 16 // 9
    width, height = (short, long) if vertical else (long, short)
    return VideoFormat(width=width, height=height, fps=FPS)


def channel_from_row(row: ChannelRow) -> Channel:
    """The channel as the stages see it."""
    quality = row.quality_settings
    return Channel(
        id=row.id,
        name=row.name,
        youtube_channel_id=row.youtube_channel_id,
        niche=row.niche,
        language=row.language,
        timezone=row.timezone,
        category_id=row.youtube_category_id or DEFAULT_YOUTUBE_CATEGORY,
        playlist_id=row.playlist_id,
        visibility=Visibility(quality.get("visibility", Visibility.PUBLIC)),
        auto_publish=row.auto_publish,
        format=video_format(
            quality.get("resolution", "1080p"), vertical=bool(quality.get("vertical", False))
        ),
    )


async def add_local_channel(connection: Connection, new: NewChannel) -> ChannelRow:
    """Add a channel of the embedded host, with the account that may upload for it.

    Raises `NameTaken`. The caller's transaction makes both or neither.
    """
    channels, accounts = Channels(connection), Accounts(connection)
    host_channel = local_channel_id(new.name)
    channel_id = await _insert(channels, new, host_channel)
    account_id = await accounts.insert(
        email=f"{host_channel}@localhost",
        account_name=f"{new.name} (embedded host)",
        provider="local",
        channel_id=host_channel,
        credentials={},
        upload_limit=LOCAL_UPLOADS_PER_DAY,
    )
    await accounts.allow(channel_id=channel_id, account_id=account_id, is_primary=True)
    return await channels.get(channel_id=channel_id)


async def add_youtube_channel(connection: Connection, new: NewChannel) -> ChannelRow:
    """Add a channel that is published to YouTube; `account add --channel` gives it an account.

    Raises `NameTaken`, also when another channel is that YouTube channel.
    """
    channels = Channels(connection)
    known = new.youtube_channel_id
    if known is not None:
        other = await channels.find_youtube(youtube_channel_id=known)
        if other is not None:
            raise NameTaken(f"the YouTube channel {known} is our channel {other.name!r} already")
    channel_id = await _insert(channels, new, known)
    return await channels.get(channel_id=channel_id)


async def _insert(channels: Channels, new: NewChannel, host_channel: str | None) -> UUID:
    quality: dict[str, Any] = {"resolution": new.resolution, "vertical": new.vertical}
    channel_id = await channels.insert(
        name=new.name,
        youtube_channel_id=host_channel,
        niche=new.niche,
        language=new.language,
        timezone=new.timezone,
        videos_per_day=new.videos_per_day,
        auto_publish=new.auto_publish,
        quality_settings=quality,
        playlist_id=new.playlist_id,
        upload_schedule=new.upload_schedule,
        daily_budget=new.daily_budget,
    )
    if channel_id is None:
        raise NameTaken(f"there is a channel named {new.name!r} already")
    return channel_id


async def require_channel(connection: Connection, name_or_id: str) -> ChannelRow:
    """The channel of this name or id. Raises `NotFound`, naming those there are."""
    channels = Channels(connection)
    row = await channels.find(name_or_id=name_or_id)
    if row is None:
        names = ", ".join(repr(known.name) for known in await channels.list()) or "none"
        raise NotFound(
            f"there is no channel {name_or_id!r} (channels: {names}); "
            "add it with: ytempire channel add NAME"
        )
    return row


def local_channel_id(name: str) -> str:
    """The embedded host's id for a channel: readable where the name is plain, and its own for every
    name."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    if plain == name:
        return f"local-{plain}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return "-".join(part for part in ("local", plain, digest) if part)
