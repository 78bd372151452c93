"""Topics on offer: `trends`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load
from pipeline.domain import Topic, Trend

_SQL = load("trend")


@dataclass(frozen=True, slots=True)
class TrendRow:
    """A stored topic; facts, language and place in its file are in `source_metadata`."""

    id: UUID
    topic: str
    category: str | None
    source: str
    source_metadata: Mapping[str, Any]
    source_url: str | None
    opportunity_score: Decimal
    first_detected: datetime

    def trend(self) -> Trend:
        """The same in the words of the stages."""
        return Trend(
            id=self.id,
            topic=Topic(
                topic=self.topic,
                facts=tuple(self.source_metadata.get("facts", ())),
                source_url=self.source_url,
                niche=self.category,
                language=self.source_metadata.get("language", "en"),
            ),
            source=self.source,
            opportunity=float(self.opportunity_score),
            first_detected=self.first_detected,
        )


@dataclass(frozen=True, slots=True)
class TrendListed:
    id: UUID
    topic: str
    category: str | None
    source: str
    source_url: str | None
    status: str
    opportunity_score: Decimal
    first_detected: datetime
    source_metadata: Mapping[str, Any]


ROWS = {"trend_list_qualified": TrendRow, "trend_find": TrendRow, "trend_list": TrendListed}


class Trends:
    """Statements of `trend.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def upsert(
        self,
        *,
        topic: str,
        topic_normalized: str,
        category: str | None,
        source: str,
        source_metadata: Mapping[str, Any],
        source_url: str | None,
        viral_score: Decimal,
        competition_score: Decimal,
    ) -> bool | None:
        """True: new; False: known and brought up to date; None: used by a video already."""
        row = await _SQL["trend_upsert"].maybe(
            self._connection,
            topic=topic,
            topic_normalized=topic_normalized,
            category=category,
            source=source,
            source_metadata=source_metadata,
            source_url=source_url,
            viral_score=viral_score,
            competition_score=competition_score,
        )
        return bool(row["inserted"]) if row else None

    async def upsert_found(
        self,
        *,
        topic: str,
        topic_normalized: str,
        category: str | None,
        source: str,
        source_metadata: Mapping[str, Any],
        source_url: str | None,
        viral_score: Decimal,
        competition_score: Decimal,
        search_volume: int | None,
        qualified: bool,
        expires_in: timedelta,
        no_repeat: timedelta,
    ) -> bool | None:
        """Store what a feed offers. True: new; False: known and brought up to date; None: left out,
        because a video was made of it within `no_repeat` or another language has the same words."""
        row = await _SQL["trend_upsert_found"].maybe(
            self._connection,
            topic=topic,
            topic_normalized=topic_normalized,
            category=category,
            source=source,
            source_metadata=source_metadata,
            source_url=source_url,
            viral_score=viral_score,
            competition_score=competition_score,
            search_volume=search_volume,
            qualified=qualified,
            expires_in=expires_in,
            no_repeat=no_repeat,
        )
        return bool(row["inserted"]) if row else None

    async def expire(self) -> int:
        """Mark what has expired; how many."""
        return await _SQL["trend_expire"].exec(self._connection)

    async def list_qualified(
        self, *, language: str, niche: str | None, limit: int
    ) -> list[TrendRow]:
        """What a video may be about, best first; what suits the channel before all else."""
        rows = await _SQL["trend_list_qualified"].many(
            self._connection,
            language=language.replace("_", "-").split("-")[0].lower(),
            niche=niche,
            limit=limit,
        )
        return [TrendRow(**row) for row in rows]

    async def find(self, *, trend_id: UUID) -> TrendRow | None:
        row = await _SQL["trend_find"].maybe(self._connection, trend_id=trend_id)
        return TrendRow(**row) if row else None

    async def list_free(self, *, topics_normalized: Sequence[str]) -> list[UUID]:
        """Of these topics of the operator's own, in this order, those still without a video."""
        rows = await _SQL["trend_list_free"].many(
            self._connection, topics_normalized=topics_normalized
        )
        return [row["id"] for row in rows]

    async def use(self, *, trend_id: UUID) -> bool:
        """False when another run took it in the meantime."""
        return bool(await _SQL["trend_use"].exec(self._connection, trend_id=trend_id))

    async def list_ids_like(self, *, prefix: str) -> list[UUID]:
        """At most two ids that begin with the prefix."""
        rows = await _SQL["trend_list_ids_like"].many(self._connection, prefix=prefix)
        return [row["id"] for row in rows]

    async def forget_api_data(self, *, kept_days: int, forget_days: int) -> list[UUID]:
        """The topics of YouTube's that were read too long ago to be kept."""
        rows = await _SQL["trend_forget_api_data"].many(
            self._connection, kept_days=kept_days, forget_days=forget_days
        )
        return [row["id"] for row in rows]

    async def list(self, *, status: str | None, limit: int) -> "list[TrendListed]":
        rows = await _SQL["trend_list"].many(self._connection, status=status, limit=limit)
        return [TrendListed(**row) for row in rows]
