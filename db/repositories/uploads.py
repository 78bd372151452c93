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

    @property
    def untouched(self) -> bool:
        """No session was kept, and one is kept before the first byte: nothing was sent."""
        return self.status == "reserved" and self.session_uri is None


@dataclass(frozen=True, slots=True)
class LeftUpload:
    """An attempt, and how the run stands that it was for; `sending`: a job is still at it."""

    id: UUID
    execution_id: UUID
    video_id: UUID
    marker: str
    status: str
    session_uri: Mapping[str, Any] | None
    youtube_video_id: str | None
    youtube_account_id: UUID | None
    fence: int
    run_status: str
    channel_name: str
    sending: bool


@dataclass(frozen=True, slots=True)
class RunUpload:
    """How the upload of a run stands; `error_message` is what is to be known of it."""

    status: str
    youtube_video_id: str | None
    error_message: str | None


ROWS = {
    "upload_find_live": Upload,
    "upload_find_left": LeftUpload,
    "upload_find_of_run": RunUpload,
}


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

    async def find_left(self, *, upload_id: UUID) -> LeftUpload | None:
        row = await _SQL["upload_find_left"].maybe(self._connection, upload_id=upload_id)
        return LeftUpload(**row) if row else None

    async def settle(
        self, *, upload_id: UUID, fence: int, status: str, host_video_id: str | None, note: str
    ) -> bool:
        """Write what became of an attempt; False when a claim took it over meanwhile."""
        return bool(
            await _SQL["upload_settle"].exec(
                self._connection,
                upload_id=upload_id,
                fence=fence,
                status=status,
                host_video_id=host_video_id,
                note=note,
            )
        )

    async def list_settling(self, *, lock: str) -> list[tuple[UUID, str]]:
        """Id and status of the live jobs with this lock."""
        rows = await _SQL["upload_list_settling"].many(self._connection, lock=lock)
        return [(row["id"], row["status"]) for row in rows]

    async def find_of_run(self, *, execution_id: UUID) -> RunUpload | None:
        row = await _SQL["upload_find_of_run"].maybe(self._connection, execution_id=execution_id)
        return RunUpload(**row) if row else None
