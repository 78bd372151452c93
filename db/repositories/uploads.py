"""Upload attempts: `video_uploads`. At most one a video is live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("upload")


@dataclass(frozen=True, slots=True)
class Upload:
    id: UUID
    marker: str
    status: str
    session_uri: Mapping[str, Any] | None
    youtube_video_id: str | None
    youtube_account_id: UUID | None
    file_sha256: str
    fence: int


ROWS = {"upload_find_live": Upload}


class Uploads:
    """Statements of `upload.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_live(self, *, video_id: UUID) -> Upload | None:
        """The attempt that may still come to a video, locked for the transaction."""
        row = await _SQL["upload_find_live"].maybe(self._connection, video_id=video_id)
        return Upload(**row) if row else None

    async def insert(
        self,
        *,
        video_id: UUID,
        execution_id: UUID,
        account_id: UUID,
        expected_channel_id: str,
        fence: int,
        marker: str,
        sha256: str,
        size_bytes: int,
    ) -> UUID:
        row = await _SQL["upload_insert"].one(
            self._connection,
            video_id=video_id,
            execution_id=execution_id,
            account_id=account_id,
            expected_channel_id=expected_channel_id,
            fence=fence,
            marker=marker,
            sha256=sha256,
            size_bytes=size_bytes,
        )
        id_: UUID = row["id"]
        return id_

    async def take_over(self, *, upload_id: UUID, fence: int) -> None:
        await _SQL["upload_take_over"].exec(self._connection, upload_id=upload_id, fence=fence)

    async def set_session(
        self, *, video_id: UUID, fence: int, session_uri: Mapping[str, Any]
    ) -> bool:
        """False when the attempt belongs to another claim."""
        return bool(
            await _SQL["upload_set_session"].exec(
                self._connection, video_id=video_id, fence=fence, session_uri=session_uri
            )
        )

    async def set_uploaded(self, *, video_id: UUID, fence: int, host_video_id: str) -> bool:
        """False when the attempt belongs to another claim."""
        return bool(
            await _SQL["upload_set_uploaded"].exec(
                self._connection, video_id=video_id, fence=fence, host_video_id=host_video_id
            )
        )

    async def set_published(self, *, video_id: UUID, fence: int) -> bool:
        """False when the attempt belongs to another claim."""
        return bool(
            await _SQL["upload_set_published"].exec(
                self._connection, video_id=video_id, fence=fence
            )
        )

    async def abandon(self, *, upload_id: UUID) -> bool:
        """End an attempt of which nothing was sent; False when there may be more to it."""
        return bool(await _SQL["upload_abandon"].exec(self._connection, upload_id=upload_id))
