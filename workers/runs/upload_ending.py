"""The upload of a run that was ended: its session is given up, its video kept private.

What is at the host is not known for sure while a sender may still be at it, so a job finds out when
it has stopped: `maintenance.settle_upload`. Nothing is deleted at the host: a video that is there
stays, private, and is listed by the doctor for a person to decide.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from db.pool import Connection, transaction
from db.repositories.accounts import Account, Accounts
from db.repositories.jobs import Jobs, enqueue
from db.repositories.uploads import LeftUpload, Uploads
from pipeline.domain import ExecutionStatus, Visibility
from pipeline.errors import Deferred, LostClaim, Rejected
from workers.accounts.quota_charges import release
from workers.accounts.trouble import spend
from workers.journal import open_session_uri
from workers.runs.ending import HeldRun
from workers.runs.starting import RunConflict
from workers.tasks.names import SETTLE_UPLOAD

if TYPE_CHECKING:  # commands and the server end runs without what draws and speaks
    from pipeline.ports import Host
    from workers.runtime import Runtime

SETTLE_ATTEMPTS = 20
SENDER_PAUSE = timedelta(seconds=1)


class UploadLeft(StrEnum):
    """What an ended run leaves at its host. `SETTLING`: a job finds out and keeps it private."""

    NOTHING = "nothing"
    SETTLING = "settling"
    PUBLISHED = "published"


async def let_go(connection: Connection, run: HeldRun) -> UploadLeft:
    """See to the upload of a run that was just ended, in the same transaction."""
    uploads = Uploads(connection)
    live = None
    if run.row.video_id is not None:
        live = await uploads.find_live(video_id=run.row.video_id)
    if live is not None and live.status == "published":
        return UploadLeft.PUBLISHED
    if live is None or (live.untouched and await uploads.abandon(upload_id=live.id)):
        await release(connection, run.id, reason="ended")
        return UploadLeft.NOTHING
    await enqueue(
        connection,
        job_type=SETTLE_UPLOAD,
        payload={"upload_id": str(live.id)},
        queue="maintenance",
        max_attempts=SETTLE_ATTEMPTS,
        lock=_lock(live.id),
    )
    return UploadLeft.SETTLING


async def recall(connection: Connection, video_id: UUID) -> None:
    """The run goes on with its upload: it need not be settled any more. Raises `RunConflict` while
    that is being done: it could hide the video that the run is about to publish."""
    live = await Uploads(connection).find_live(video_id=video_id)
    if live is None:
        return
    for job_id, status in await Uploads(connection).list_settling(lock=_lock(live.id)):
        if status == "processing":
            raise RunConflict("the upload of this run is being ended just now; repeat in a moment")
        await Jobs(connection).cancel(job_id, note="the run goes on with its upload")


async def settle_upload(runtime: Runtime, upload_id: UUID) -> str | None:
    """Find out what an ended run's upload became, and write it; its new status, None when there is
    nothing to do. A repeat finds the same.

    Raises `Deferred` while the sender is still at it, and what the host raises.
    """
    async with transaction(runtime.pool) as connection:
        left = await Uploads(connection).find_left(upload_id=upload_id)
        if left is None or left.status in ("published", "failed", "abandoned"):
            return None
        if not ExecutionStatus(left.run_status).ended:
            return None  # it was taken up again
        if left.sending:
            raise Deferred(
                "the worker that sends has not stopped yet", until=datetime.now(UTC) + SENDER_PAUSE
            )
        account = await _account(connection, left)
    host = runtime.host_for(account, left.channel_name)
    video_id = await _video(runtime, host, left)
    status, note = "abandoned", "the upload was given up before its end: nothing is at the host"
    if video_id is not None:
        hosted = await host.inspect(video_id)
        if hosted.visibility is not Visibility.PRIVATE:
            await host.publish(video_id, Visibility.PRIVATE, None)
        status, note = "uploaded", "the run was ended after the upload: private at the host"
    try:
        async with transaction(runtime.pool) as connection:
            # First, while the attempt still shows that something was sent: that is not refunded.
            if video_id is None:
                await release(connection, left.execution_id, reason="ended")
            else:
                await spend(connection, execution_id=left.execution_id, account_id=account.id)
            if not await Uploads(connection).settle(
                upload_id=left.id, fence=left.fence, status=status, host_video_id=video_id,
                note=note,
            ):  # fmt: skip
                raise LostClaim("a claim of the run took the upload over")
    except LostClaim:
        return None
    return status


async def _account(connection: Connection, left: LeftUpload) -> Account:
    if left.youtube_account_id is None:
        raise Rejected("the account of this upload is gone: look at its channel by hand")
    return await Accounts(connection).get(account_id=left.youtube_account_id)


async def _video(runtime: Runtime, host: Host, left: LeftUpload) -> str | None:
    """The id that the upload got, if it came so far; its session takes nothing more."""
    if left.youtube_video_id is not None:
        return left.youtube_video_id
    session_uri = open_session_uri(runtime.keys, left.id, left.session_uri)
    if session_uri is not None:
        ended = await host.abandon(session_uri)
        if ended.known:
            return ended.video_id
    return await host.find(left.marker)


def _lock(upload_id: UUID) -> str:
    return f"settle:{upload_id}"
