"""Videos, their content, their files and their counters."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load
from pipeline.domain import Artifact, Statistics, Visibility

_SQL = load("video")

ROWS: Mapping[str, type] = {}


class Videos:
    """Statements of `video.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        channel_id: UUID,
        trend_id: UUID | None,
        title: str,
        topic: str | None,
        language: str,
        resolution: str,
        fps: int,
        visibility: Visibility,
        publish_at: datetime | None,
    ) -> UUID:
        row = await _SQL["video_insert"].one(
            self._connection,
            channel_id=channel_id,
            trend_id=trend_id,
            title=title,
            topic=topic,
            language=language,
            resolution=resolution,
            fps=fps,
            visibility=visibility,
            publish_at=publish_at,
        )
        id_: UUID = row["id"]
        return id_

    async def set_topic(
        self, *, video_id: UUID, trend_id: UUID | None, title: str, topic: str, language: str
    ) -> None:
        await _SQL["video_set_topic"].exec(
            self._connection,
            video_id=video_id,
            trend_id=trend_id,
            title=title,
            topic=topic,
            language=language,
        )

    async def set_script(
        self, *, video_id: UUID, title: str, description: str, tags: Sequence[str]
    ) -> None:
        await _SQL["video_set_script"].exec(
            self._connection, video_id=video_id, title=title, description=description, tags=tags
        )

    async def upsert_content(
        self, *, video_id: UUID, script: str, script_metadata: Mapping[str, Any]
    ) -> None:
        await _SQL["video_upsert_content"].exec(
            self._connection, video_id=video_id, script=script, script_metadata=script_metadata
        )

    async def set_voice(self, *, video_id: UUID, audio_path: str, voice: str) -> None:
        await _SQL["video_set_voice"].exec(
            self._connection, video_id=video_id, audio_path=audio_path, voice=voice
        )

    async def set_cut(
        self,
        *,
        video_id: UUID,
        video_path: str,
        thumbnail_path: str,
        captions_path: str,
        duration_seconds: int,
        size_bytes: int,
    ) -> None:
        await _SQL["video_set_cut"].exec(
            self._connection,
            video_id=video_id,
            video_path=video_path,
            thumbnail_path=thumbnail_path,
            captions_path=captions_path,
            duration_seconds=duration_seconds,
            size_bytes=size_bytes,
        )

    async def set_published(
        self,
        *,
        video_id: UUID,
        account_id: UUID | None,
        host_video_id: str,
        url: str,
        published_at: datetime | None,
    ) -> None:
        """`published_at` None: uploaded and scheduled, not out yet."""
        await _SQL["video_set_published"].exec(
            self._connection,
            video_id=video_id,
            account_id=account_id,
            host_video_id=host_video_id,
            url=url,
            published_at=published_at,
        )

    async def set_counters(self, *, video_id: UUID, statistics: Statistics) -> None:
        await _SQL["video_set_counters"].exec(
            self._connection,
            video_id=video_id,
            views=statistics.views,
            likes=statistics.likes,
            comments=statistics.comments,
        )

    async def upsert_metrics(self, *, video_id: UUID, source: str, statistics: Statistics) -> None:
        await _SQL["metrics_ensure_month"].one(self._connection, at=statistics.at)
        await _SQL["metrics_upsert"].exec(
            self._connection,
            video_id=video_id,
            at=statistics.at,
            source=source,
            views=statistics.views,
            likes=statistics.likes,
            comments=statistics.comments,
        )

    async def set_failed(self, *, video_id: UUID, error: str) -> None:
        await _SQL["video_set_failed"].exec(self._connection, video_id=video_id, error=error)

    async def sum_cost(self, *, video_id: UUID) -> None:
        await _SQL["video_sum_cost"].exec(self._connection, video_id=video_id)

    async def list_recent_topics(
        self, *, channel_id: UUID, exclude_video_id: UUID, since_days: int
    ) -> list[str]:
        rows = await _SQL["video_list_recent_topics"].many(
            self._connection,
            channel_id=channel_id,
            exclude_video_id=exclude_video_id,
            since_days=since_days,
        )
        return [row["topic"] for row in rows]

    async def list_recent_footage(
        self, *, channel_id: UUID, exclude_video_id: UUID, since_days: int
    ) -> list[str]:
        """The keys of the stock footage that the channel's other videos showed lately."""
        rows = await _SQL["video_list_recent_footage"].many(
            self._connection,
            channel_id=channel_id,
            exclude_video_id=exclude_video_id,
            since_days=since_days,
        )
        return [row["key"] for row in rows]

    async def set_description(self, *, video_id: UUID, description: str) -> None:
        await _SQL["video_set_description"].exec(
            self._connection, video_id=video_id, description=description
        )

    async def upsert_artifact(self, *, video_id: UUID, artifact: Artifact) -> None:
        await _SQL["artifact_upsert"].exec(
            self._connection,
            video_id=video_id,
            kind=artifact.kind,
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            media_type=artifact.media_type,
            url=artifact.url,
            metadata=dict(artifact.metadata),
        )
