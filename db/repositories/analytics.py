"""What YouTube reports of videos over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("analytics")


@dataclass(frozen=True, slots=True)
class PulledVideo:
    """A video at YouTube; `since` is when its statistics began, `first_day` the earliest day that
    may still change, both days Pacific; `known_problem` what an earlier pull found wrong."""

    host_video_id: str
    published_at: datetime | None
    scheduled_publish_at: datetime | None
    known_problem: str | None
    wanted_visibility: str
    since: datetime
    account_id: UUID
    channel_name: str
    channel_id: UUID
    scopes: Sequence[str]
    host_channel_id: str | None
    first_day: date
    today: date


ROWS = {"analytics_find_video": PulledVideo}


class Analytics:
    """Statements of `analytics.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_video(self, *, video_id: UUID, refresh_days: int) -> PulledVideo | None:
        """None for a video that is not at YouTube. Days that were read `refresh_days` ago are to be
        read again."""
        row = await _SQL["analytics_find_video"].maybe(
            self._connection, video_id=video_id, refresh_days=refresh_days
        )
        return PulledVideo(**row) if row else None

    async def set_public(self, *, video_id: UUID, published_at: datetime) -> None:
        await _SQL["analytics_set_public"].exec(
            self._connection, video_id=video_id, published_at=published_at
        )

    async def upsert_day(
        self,
        *,
        video_id: UUID,
        day: date,
        views: int,
        watch_minutes: Decimal,
        average_seconds: int,
        average_percentage: Decimal,
        likes: int,
        comments: int,
        shares: int,
        revenue: Decimal | None,
        is_final: bool,
    ) -> None:
        """Write one day, over what was known of it; its partition is made if need be."""
        await _SQL["analytics_ensure_month"].one(self._connection, day=day)
        await _SQL["analytics_upsert_day"].exec(
            self._connection,
            video_id=video_id,
            day=day,
            views=views,
            watch_minutes=watch_minutes,
            average_seconds=average_seconds,
            average_percentage=average_percentage,
            likes=likes,
            comments=comments,
            shares=shares,
            revenue=revenue,
            is_final=is_final,
        )

    async def upsert_raw(
        self,
        *,
        request_key: str,
        channel_id: UUID,
        host_channel_id: str | None,
        data: Mapping[str, Any],
    ) -> None:
        await _SQL["analytics_upsert_raw"].exec(
            self._connection,
            request_key=request_key,
            channel_id=channel_id,
            host_channel_id=host_channel_id,
            data=data,
        )

    async def list_stale(self, *, stale_days: int) -> list[UUID]:
        """The videos that should have been pulled by now and can be."""
        rows = await _SQL["analytics_list_stale"].many(self._connection, stale_days=stale_days)
        return [row["video_id"] for row in rows]

    async def delete_expired(self, *, expire_days: int) -> list[UUID]:
        """The videos of which nothing is left."""
        rows = await _SQL["analytics_delete_expired"].many(
            self._connection, expire_days=expire_days
        )
        return [row["video_id"] for row in rows]
