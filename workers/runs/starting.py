"""How a run begins, and how one that waits goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from db.pool import Connection, Pool, transaction
from db.repositories.channels import ChannelRow
from db.repositories.executions import Executions
from db.repositories.jobs import enqueue
from db.repositories.steps import Steps
from db.repositories.trends import Trends
from db.repositories.videos import Videos
from pipeline.domain import StageName
from pipeline.errors import Rejected
from pipeline.flow import FIRST_STAGE, ROUTES
from pipeline.stages.metadata import clip_title
from workers.callbacks.rules import CallbackRules, RefusedAddress
from workers.channels import NotFound, channel_from_row, require_channel

WORKFLOW = "line"
TRIGGERED_TYPE = "content_generation"  # of workflows that start runs
UNTITLED = "Untitled"


class RunRequest(BaseModel):
    """What a run is asked for: the body of `POST /v1/runs` and the payload of `video.trend_pick`.

    `execution_id` is the caller's own (n8n's). Without topic and trend the best stored topic is
    picked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Annotated[str, Field(min_length=1, max_length=100)]
    topic: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    facts: tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...] = Field(
        (), max_length=50
    )
    trend_id: UUID | None = None
    publish_at: AwareDatetime | None = None
    priority: Annotated[int, Field(ge=1, le=10)] = 5
    callback_url: Annotated[str, Field(max_length=2000)] | None = None
    execution_id: Annotated[str, Field(max_length=255)] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A run that is queued. `job_id` is its first job; `new` is False for a repeated request."""

    execution_id: UUID
    video_id: UUID
    job_id: UUID | None
    new: bool


def parse_request(payload: Mapping[str, Any], rules: CallbackRules | None = None) -> RunRequest:
    """The request in a payload; with `rules`, its callback_url must keep them as well. Raises
    `Rejected` that names each field that is wrong."""
    try:
        request = RunRequest.model_validate(dict(payload))
        if rules is not None and request.callback_url is not None:
            rules.check(request.callback_url)
    except RefusedAddress as error:
        raise Rejected(f"this is not a request for a run: callback_url: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in error.errors()
        )
        raise Rejected(f"this is not a request for a run: {problems}") from None
    return request


def asked_of(trigger_data: Mapping[str, Any]) -> RunRequest:
    """The request within a run's trigger data, which may hold more of its sender's."""
    fields = RunRequest.model_fields
    return parse_request({name: each for name, each in trigger_data.items() if name in fields})


async def start_run(
    connection: Connection,
    request: RunRequest,
    *,
    idempotency_key: str | None = None,
    job_id: UUID | None = None,
    workflow: str = WORKFLOW,
    trigger_data: Mapping[str, Any] | None = None,
) -> Started:
    """Insert run, steps, video and first job in the caller's transaction.

    The same idempotency key again gives the first run back. `job_id`: the job that is running this
    very request and will do the first step itself; without it a job is enqueued. `workflow` is the
    stored workflow that was triggered; `trigger_data` is kept with the request, which wins where
    both name a field.

    Raises `NotFound` for an unknown channel or trend, `Rejected` for a channel that is paused.
    """
    executions, steps = Executions(connection), Steps(connection)
    if idempotency_key is not None:
        known = await executions.find_by_key(idempotency_key=idempotency_key)
        if known is not None:
            return await _known(connection, known)
    row = await require_channel(connection, request.channel)
    if row.status != "active":
        raise Rejected(f"channel {row.name!r} is {row.status}")
    if request.trend_id is not None and (
        await Trends(connection).find(trend_id=request.trend_id) is None
    ):
        raise NotFound(f"there is no trend {request.trend_id}")
    video_id = await _insert_video(connection, row, request)
    execution_id = await executions.insert(
        workflow=workflow,
        channel_id=row.id,
        video_id=video_id,
        trend_id=request.trend_id,
        external_id=request.execution_id,
        trigger_data={
            **(trigger_data or {}),
            **request.model_dump(mode="json", exclude_none=True),
        },
        idempotency_key=idempotency_key,
        callback_url=request.callback_url,
        priority=request.priority,
        publish_at=request.publish_at,
        step=FIRST_STAGE,
    )
    if execution_id is None:
        # Another transaction with this key committed between the look and the insert.
        raise RacedKey(f"idempotency key {idempotency_key!r} was taken in this moment")
    for number, stage in enumerate(StageName, start=1):
        await steps.insert(execution_id=execution_id, step=stage, step_no=number)
    if job_id is None:
        job_id = await enqueue_step(
            connection, execution_id=execution_id, stage=FIRST_STAGE, priority=request.priority
        )
    else:
        await steps.set_job(execution_id=execution_id, step=FIRST_STAGE, job_id=job_id)
    return Started(execution_id, video_id, job_id, new=True)


class RunConflict(Exception):
    """The run is not in a state in which this can be done; the message says what is."""


class NotWaiting(RunConflict):
    """The run is not waiting for a person."""


class RacedKey(Exception):
    """Another request with the same idempotency key won; look it up in a new transaction."""


async def start_run_once(
    pool: Pool, request: RunRequest, *, idempotency_key: str | None, job_id: UUID | None = None
) -> Started:
    """`start_run` in a transaction of its own; a racing duplicate gets the winner's run."""
    try:
        async with transaction(pool) as connection:
            return await start_run(
                connection, request, idempotency_key=idempotency_key, job_id=job_id
            )
    except RacedKey:
        async with transaction(pool) as connection:
            return await start_run(
                connection, request, idempotency_key=idempotency_key, job_id=job_id
            )


async def _known(connection: Connection, execution_id: UUID) -> Started:
    execution = await Executions(connection).load(execution_id=execution_id)
    return Started(execution_id, execution.video_id, None, new=False)


async def _insert_video(connection: Connection, row: ChannelRow, request: RunRequest) -> UUID:
    channel = channel_from_row(row)
    return await Videos(connection).insert(
        channel_id=row.id,
        trend_id=request.trend_id,
        title=clip_title(request.topic) if request.topic else UNTITLED,
        topic=request.topic,
        language=channel.language,
        resolution=f"{channel.format.width}x{channel.format.height}",
        fps=channel.format.fps,
        visibility=channel.visibility,
        publish_at=request.publish_at,
    )


async def enqueue_step(
    connection: Connection,
    *,
    execution_id: UUID,
    stage: StageName,
    priority: int,
    at: datetime | None = None,
) -> UUID:
    """Insert the job of a step in the caller's transaction; the step remembers it. `at`: not before
    then."""
    route = ROUTES[stage]
    job_id = await enqueue(
        connection,
        job_type=route.job_type,
        payload={"execution_id": str(execution_id)},
        queue=route.queue,
        priority=priority,
        scheduled_for=at,
    )
    await Steps(connection).set_job(execution_id=execution_id, step=stage, job_id=job_id)
    return job_id


async def approve_run(connection: Connection, execution_id: UUID, *, approved_by: str) -> None:
    """Let a run go on that waits for a person. Raises `NotWaiting`."""
    approved = await Executions(connection).approve(
        execution_id=execution_id, approved_by=approved_by
    )
    if approved is None:
        raise NotWaiting(f"run {execution_id} does not wait for an approval")
    await enqueue_step(
        connection,
        execution_id=execution_id,
        stage=StageName(approved.current_step),
        priority=approved.priority,
    )


async def wake_runs(connection: Connection, account_id: UUID) -> int:
    """Let the runs go on that waited for an account of their channel; how many there were."""
    woken = await Executions(connection).wake_for_account(account_id=account_id)
    for run in woken:
        await enqueue_step(
            connection,
            execution_id=run.execution_id,
            stage=StageName(run.step),
            priority=run.priority,
        )
    return len(woken)
