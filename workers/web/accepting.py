"""The short way to accept a run: one statement, one commit, when all it needs is remembered.

It declines whenever anything is out of the ordinary; the long way (`answers.accept_once`) then
says what. Both leave the same rows.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import Response

from db.errors import ConstraintViolated, InvalidValue
from db.pool import acquired
from db.repositories.accepting import Accepting, NewRun, Remembered
from db.repositories.channels import ChannelRow
from db.repositories.workflows import WorkflowRow
from pipeline.domain import StageName
from pipeline.flow import FIRST_STAGE, ROUTES
from pipeline.stages.metadata import clip_title
from workers.channels import NotFound, channel_from_row, require_channel
from workers.runs.starting import UNTITLED, WORKFLOW, RunRequest
from workers.web.admission import Caller
from workers.web.answers import accepted, body_digest, receipt_keys, run_answer
from workers.web.context import Web, web_of

STAGES = tuple(stage.value for stage in StageName)


async def accept_run(
    request: Request,
    caller: Caller,
    body: Mapping[str, Any],
    asked: RunRequest,
    *,
    workflow: WorkflowRow | None = None,
) -> Response | None:
    """The 202 of a new run; None when this way cannot tell: go the long way.

    `workflow` is the named one that was triggered, as it was when `asked` was made of it.
    """
    web = web_of(request)
    receipts = receipt_keys(request, caller)
    if len(receipts) > 1 or asked.trend_id is not None:
        return None
    channel = await _channel(web, asked.channel)
    if channel is None:
        return None
    run = _new_run(asked, channel, body if workflow is not None else {})
    answer = run_answer(run.execution_id, run.video_id, run.job_id)
    remembered = Remembered(
        api_key_id=caller.key.id,
        key_hash=caller.key.key_hash,
        scope=caller.scope,
        channel_id=channel.id,
        channel_seen=channel.updated_at,
        workflow=workflow.name if workflow is not None else WORKFLOW,
        workflow_seen=workflow.updated_at if workflow is not None else None,
    )
    try:
        async with acquired(web.pool) as connection:
            done = await Accepting(connection).accept(
                remembered,
                run,
                receipt=receipts[0] if receipts else None,
                request_hash=body_digest(body),
                answer=answer,
            )
    except (ConstraintViolated, InvalidValue):
        return None
    if not done:
        web.memories.channels.forget(asked.channel)
        if workflow is not None:
            web.memories.workflows.forget(workflow.name)
        return None
    web.announcer.tell(run.queue_name)
    return accepted(answer)


async def _channel(web: Web, name: str) -> ChannelRow | None:
    known = web.memories.channels.get(name)
    if known is None:
        try:
            async with acquired(web.pool) as connection:
                known = await require_channel(connection, name)
        except NotFound:
            return None
        web.memories.channels.put(name, known)
    return known


def _new_run(asked: RunRequest, row: ChannelRow, trigger_data: Mapping[str, Any]) -> NewRun:
    """What `workers.runs.starting.start_run` inserts."""
    channel = channel_from_row(row)
    route = ROUTES[FIRST_STAGE]
    video_id, execution_id, job_id = uuid4(), uuid4(), uuid4()
    return NewRun(
        video_id=video_id,
        execution_id=execution_id,
        job_id=job_id,
        title=clip_title(asked.topic) if asked.topic else UNTITLED,
        topic=asked.topic,
        language=channel.language,
        resolution=f"{channel.format.width}x{channel.format.height}",
        fps=channel.format.fps,
        visibility=channel.visibility,
        publish_at=asked.publish_at,
        external_id=asked.execution_id,
        trigger_data={**trigger_data, **asked.model_dump(mode="json", exclude_none=True)},
        callback_url=asked.callback_url,
        priority=asked.priority,
        stages=STAGES,
        job_type=route.job_type,
        queue_name=route.queue,
        payload={"execution_id": str(execution_id)},
    )
