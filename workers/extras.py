"""The extras of published videos that had to wait: tried again by a job of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import structlog

from db.pool import Connection, transaction
from db.repositories.accounts import Account, Accounts
from db.repositories.channels import Channels
from db.repositories.executions import Executions
from db.repositories.jobs import enqueue
from db.repositories.steps import Steps
from db.repositories.uploads import Uploads
from pipeline.domain import Channel, Cut, StageName
from pipeline.errors import Rejected
from pipeline.hosting import Extra
from pipeline.stages.extras import Dressed, dress, extras_from, put_off, waiting
from pipeline.stages.script import Scripted
from pipeline.stages.upload import Uploaded
from workers.accounts.extras import AffordedExtras
from workers.accounts.trouble import afflict
from workers.channels import channel_from_row
from workers.outputs import read_output
from workers.runtime import Runtime
from workers.tasks.names import EXTRAS

QUEUE = "upload"

log = structlog.get_logger()


async def enqueue_waiting(
    connection: Connection, execution_id: UUID, extras: Sequence[Extra]
) -> None:
    """Enqueue the job of the extras that wait, if any does, in the caller's transaction."""
    left = waiting(extras)
    if not left:
        return
    times = [extra.until for extra in left if extra.until is not None]
    await enqueue(
        connection,
        job_type=EXTRAS,
        payload={"execution_id": str(execution_id)},
        queue=QUEUE,
        priority=6,  # after the uploads: publishing comes first
        scheduled_for=min(times) if len(times) == len(left) else None,
        lock=f"extras:{execution_id}",
    )


async def revive_extras(connection: Connection, video_id: UUID) -> None:
    """Enqueue the job of a video's waiting extras again if it was lost on its way."""
    steps = Steps(connection)
    execution_id = await steps.find_undressed(video_id=video_id)
    done = await steps.find_upload(execution_id=execution_id) if execution_id else None
    if execution_id is not None and done is not None:
        await enqueue_waiting(connection, execution_id, extras_from(done.extras))


async def afflict_all(connection: Connection, dressed: Dressed) -> None:
    """Write what the extras told about the account."""
    for trouble, message in dressed.troubles:
        await afflict(connection, trouble, message)


def log_bugs(dressed: Dressed) -> None:
    """Say what nobody expected, with its traceback."""
    for bug in dressed.bugs:
        log.error("extras.bug", exc_info=bug)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be added to which video, with whom; `fence` is the recorded upload's."""

    fence: int
    uploaded: Uploaded
    cut: Cut
    language: str
    channel: Channel
    account: Account
    hindrance: tuple[str, datetime | None] | None


async def load_task(connection: Connection, execution_id: UUID) -> Task | None:
    """None when nothing waits. Raises `Rejected` for a run or an account that is gone."""
    steps = Steps(connection)
    done = await steps.find_upload(execution_id=execution_id)
    if done is None or not waiting(extras_from(done.extras)):
        return None
    outputs = await steps.list_outputs(execution_id=execution_id)
    execution = await Executions(connection).load(execution_id=execution_id)
    live = await Uploads(connection).find_live(video_id=execution.video_id)
    if live is None or live.youtube_account_id is None:
        raise Rejected("the account that uploaded this video is gone")
    accounts = Accounts(connection)
    row = await Channels(connection).get(channel_id=execution.channel_id)
    return Task(
        fence=done.fence,
        uploaded=read_output(Uploaded, outputs[StageName.UPLOAD]),
        cut=read_output(Cut, outputs[StageName.RENDER]),
        language=read_output(Scripted, outputs[StageName.SCRIPT]).script.language,
        channel=channel_from_row(row),
        account=await accounts.get(account_id=live.youtube_account_id),
        hindrance=await accounts.find_hindrance(account_id=live.youtube_account_id),
    )


async def find_task(runtime: Runtime, execution_id: UUID) -> Task | None:
    """`load_task` in a transaction of its own."""
    async with transaction(runtime.pool) as connection:
        return await load_task(connection, execution_id)


def scratch_of(runtime: Runtime, execution_id: UUID) -> Path:
    """Where the job may write; removed when it ends."""
    return runtime.scratch / str(execution_id) / "extras"


async def dress_later(runtime: Runtime, execution_id: UUID, task: Task) -> Dressed:
    """Try what waits and is due; changes nothing in the database."""
    now = datetime.now(UTC)
    if task.hindrance is not None:
        state, until = task.hindrance
        reason = f"account {task.account.email} is {state}"
        return put_off(task.uploaded.extras, reason, until, now)
    return await dress(
        task.uploaded.extras,
        task.uploaded.publication.video_id,
        task.cut,
        language=task.language,
        channel=task.channel,
        host=AffordedExtras(
            runtime.host_for(task.account, task.channel.name),
            runtime.pool,
            execution_id=execution_id,
            account_id=task.account.id,
        ),
        store=runtime.store,
        scratch=scratch_of(runtime, execution_id),
        now=now,
    )
