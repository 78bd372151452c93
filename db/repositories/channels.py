"""Channels as stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("channel")


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """`daily_budget` in US dollars; None: no limit of its own."""

    id: UUID
    name: str
    youtube_channel_id: str | None
    niche: str | None
    language: str
    timezone: str
    status: str
    videos_per_day: int
    auto_publish: bool
    automation_enabled: bool
    quality_settings: Mapping[str, Any]
    upload_schedule: Mapping[str, Any]
    youtube_category_id: str | None
    playlist_id: str | None
    daily_budget: Decimal | None
    status_reason: str | None
    created_at: datetime


ROWS = {
    "channel_find_youtube": ChannelRow,
    "channel_find": ChannelRow,
    "channel_get": ChannelRow,
    "channel_list": ChannelRow,
}


class Channels:
    """Statements of `channel.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        name: str,
        youtube_channel_id: str | None,
        niche: str | None,
        language: str,
        timezone: str,
        videos_per_day: int,
        auto_publish: bool,
        quality_settings: Mapping[str, Any],
        playlist_id: str | None = None,
        upload_schedule: Mapping[str, Any] | None = None,
        daily_budget: Decimal | None = None,
    ) -> UUID | None:
        """None when the name, or the YouTube channel, is taken."""
        row = await _SQL["channel_insert"].maybe(
            self._connection,
            name=name,
            youtube_channel_id=youtube_channel_id,
            niche=niche,
            language=language,
            timezone=timezone,
            videos_per_day=videos_per_day,
            auto_publish=auto_publish,
            quality_settings=quality_settings,
            playlist_id=playlist_id,
            upload_schedule=upload_schedule or {},
            daily_budget=daily_budget,
        )
        return row["id"] if row else None

    async def find(self, *, name_or_id: str) -> ChannelRow | None:
        row = await _SQL["channel_find"].maybe(self._connection, name_or_id=name_or_id)
        return ChannelRow(**row) if row else None

    async def get(self, *, channel_id: UUID) -> ChannelRow:
        return ChannelRow(**await _SQL["channel_get"].one(self._connection, channel_id=channel_id))

    async def find_youtube(self, *, youtube_channel_id: str) -> ChannelRow | None:
        row = await _SQL["channel_find_youtube"].maybe(
            self._connection, youtube_channel_id=youtube_channel_id
        )
        return ChannelRow(**row) if row else None

    async def set_youtube(self, *, channel_id: UUID, youtube_channel_id: str) -> None:
        """Raises `UniqueViolated` when another channel is that YouTube channel."""
        await _SQL["channel_set_youtube"].exec(
            self._connection, channel_id=channel_id, youtube_channel_id=youtube_channel_id
        )

    async def list_ids_like(self, *, prefix: str) -> list[UUID]:
        """At most two ids that begin with the prefix."""
        rows = await _SQL["channel_list_ids_like"].many(self._connection, prefix=prefix)
        return [row["id"] for row in rows]

    async def lock(self, *, channel_id: UUID) -> None:
        """Keep the channel from changing until the transaction ends."""
        await _SQL["channel_lock"].one(self._connection, channel_id=channel_id)

    async def update(self, row: ChannelRow) -> None:
        """Write what an operator may set, as it is in `row`."""
        await _SQL["channel_update"].exec(
            self._connection,
            channel_id=row.id,
            niche=row.niche,
            language=row.language,
            timezone=row.timezone,
            videos_per_day=row.videos_per_day,
            auto_publish=row.auto_publish,
            automation_enabled=row.automation_enabled,
            quality_settings=row.quality_settings,
            playlist_id=row.playlist_id,
            upload_schedule=row.upload_schedule,
            daily_budget=row.daily_budget,
        )

    async def set_status(self, *, channel_id: UUID, status: str, reason: str | None) -> bool:
        """False for a channel that is neither active nor paused."""
        return bool(
            await _SQL["channel_set_status"].exec(
                self._connection, channel_id=channel_id, status=status, reason=reason
            )
        )

    async def list(self) -> "list[ChannelRow]":
        return [ChannelRow(**row) for row in await _SQL["channel_list"].many(self._connection)]

    async def move_health(
        self, *, execution_id: UUID, points: int, error: str | None = None, step: str | None = None
    ) -> None:
        """Change the health (0 to 100) of a run's channel; with a step, only while the run is at
        it. `error` is kept as the channel's last one."""
        await _SQL["channel_move_health"].exec(
            self._connection, execution_id=execution_id, points=points, error=error, step=step
        )
