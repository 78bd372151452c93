"""The upload journal on `video_uploads`: each entry is a commit, under the step's fence."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, TypedDict
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Account
from db.repositories.steps import Steps
from db.repositories.uploads import Upload, Uploads
from db.repositories.videos import Videos
from pipeline.domain import StageName
from pipeline.errors import LostClaim, Rejected
from pipeline.failpoints import Point, reach
from pipeline.hosting import Publication, UploadRecord
from workers.secrets import SecretKeys

MARKER_BYTES = 12
# A beginning that is older is checked again; whoever was stopped for a lease is 30 times as old.
STALE_SECONDS = 1.0


class CommittedJournal:
    """Implements `UploadJournal` for one claim of a run's upload step."""

    def __init__(
        self,
        pool: Pool,
        *,
        step_id: UUID,
        fence: int,
        video_id: UUID,
        execution_id: UUID,
        account: Account,
        expected_channel_id: str,
        keys: SecretKeys,
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._step_id = step_id
        self._fence = fence
        self._video_id = video_id
        self._execution_id = execution_id
        self._account = account
        self._expected_channel_id = expected_channel_id
        self._published_before = False

    @property
    def published_before(self) -> bool:
        """Whether an earlier claim published the video, and ended before its step was recorded."""
        return self._published_before

    async def begin(self, sha256: str, size_bytes: int) -> UploadRecord:
        """See `UploadJournal`. Raises `Rejected` when the file is not the one being uploaded, and
        `LostClaim` when somebody else has the step, be it since this worker was stopped."""
        began = time.monotonic()
        record = await self._begin(sha256, size_bytes)
        await reach(Point.AFTER_INTENT, StageName.UPLOAD)
        if time.monotonic() - began > STALE_SECONDS:
            async with transaction(self._pool) as connection:
                await self._own(connection)
        return record

    async def _begin(self, sha256: str, size_bytes: int) -> UploadRecord:
        async with transaction(self._pool) as connection:
            await self._own(connection)
            uploads = Uploads(connection)
            live = await uploads.find_live(video_id=self._video_id)
            if live is None:
                marker = f"yte-{secrets.token_hex(MARKER_BYTES)}"
                await uploads.insert(
                    video_id=self._video_id,
                    execution_id=self._execution_id,
                    account_id=self._account.id,
                    expected_channel_id=self._expected_channel_id,
                    fence=self._fence,
                    marker=marker,
                    sha256=sha256,
                    size_bytes=size_bytes,
                )
                return UploadRecord(marker=marker, fresh=True, session_uri=None, video_id=None)
            if live.file_sha256 != sha256 and live.youtube_video_id is None:
                raise Rejected(
                    f"an upload of another file is under way for this video (marker {live.marker})"
                )
            await uploads.take_over(upload_id=live.id, fence=self._fence)
            self._published_before = live.status == "published"
        return self._record(live)

    def _record(self, live: Upload) -> UploadRecord:
        return UploadRecord(
            marker=live.marker,
            fresh=False,
            session_uri=open_session_uri(self._keys, live.id, live.session_uri),
            video_id=live.youtube_video_id,
        )

    async def session_opened(self, session_uri: str) -> None:
        async with transaction(self._pool) as connection:
            await self._own(connection)
            uploads = Uploads(connection)
            live = await uploads.find_live(video_id=self._video_id)
            # The address is as good as a password: whoever has it may write to the upload.
            if live is None or not await uploads.set_session(
                video_id=self._video_id,
                fence=self._fence,
                session_uri=self._keys.seal(session_uri, **_place(live.id)),
            ):
                raise LostClaim("the upload was taken over")
        await reach(Point.AFTER_RESPONSE, StageName.UPLOAD)

    async def uploaded(self, video_id: str) -> None:
        async with transaction(self._pool) as connection:
            await self._own(connection)
            if not await Uploads(connection).set_uploaded(
                video_id=self._video_id, fence=self._fence, host_video_id=video_id
            ):
                raise LostClaim("the upload was taken over")
        await reach(Point.AFTER_RESPONSE, StageName.UPLOAD)

    async def published(self, publication: Publication) -> None:
        """See `UploadJournal`. From here on the video's row tells that it is out, and where."""
        async with transaction(self._pool) as connection:
            await self._own(connection)
            if not await Uploads(connection).set_published(
                video_id=self._video_id, fence=self._fence
            ):
                raise LostClaim("the upload was taken over")
            await Videos(connection).set_published(
                video_id=self._video_id,
                account_id=self._account.id,
                host_video_id=publication.video_id,
                url=publication.url,
                published_at=publication.published_at,
            )

    async def _own(self, connection: Connection) -> None:
        if not await Steps(connection).owned(step_id=self._step_id, fence=self._fence):
            raise LostClaim("the upload step was taken over")


def open_session_uri(
    keys: SecretKeys, upload_id: UUID, sealed: Mapping[str, Any] | None
) -> str | None:
    """The address of an upload's session as it was kept; None when none was."""
    return keys.open(sealed, **_place(upload_id)) if sealed else None


class _Place(TypedDict):
    table: str
    row: UUID
    column: str


def _place(upload_id: UUID) -> _Place:
    return {"table": "video_uploads", "row": upload_id, "column": "session_uri"}
