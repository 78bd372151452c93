"""`/v1/runs` and `/webhooks/{workflow}`: start runs, look at them, approve them."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from db.pool import Connection, transaction
from db.repositories.executions import ExecutionListed, Executions
from db.repositories.workflows import WorkflowRow, Workflows
from pipeline.domain import ExecutionStatus
from workers.callbacks.rules import RefusedAddress
from workers.channels import NotFound, require_channel
from workers.runs.overview import load_overview
from workers.runs.starting import (
    TRIGGERED_TYPE,
    NotWaiting,
    RunRequest,
    Started,
    approve_run,
    start_run,
)
from workers.web.accepting import accept_run
from workers.web.admission import admit, admit_with_body
from workers.web.answers import (
    ACCEPTED,
    accept_once,
    bad_cursor,
    json_response,
    make_cursor,
    page,
    read_cursor,
    run_answer,
)
from workers.web.context import Web, web_of
from workers.web.problems import Problem, invalid
from workers.web.schema import RUN_ACCEPTED, Cursor, Limit, body_schema, object_schema

router = APIRouter()

RUN_EXAMPLE = {
    "channel": "Deep Sea",
    "topic": "Why octopuses have three hearts",
    "facts": ["Two hearts pump blood through the gills.", "Octopus blood is blue."],
    "callback_url": "https://n8n.example.com/webhook-waiting/231?token=4f1c",
    "execution_id": "231",
}


@router.post(
    "/v1/runs",
    status_code=ACCEPTED,
    summary="Start a run: one video",
    responses=RUN_ACCEPTED,
    openapi_extra=body_schema(RunRequest, RUN_EXAMPLE),
)
async def post_run(request: Request) -> Response:
    caller, body = await admit_with_body(request, "runs:write")
    asked = _read_request(web_of(request), body, what="the run")

    async def work(connection: Connection) -> dict[str, Any]:
        return _started(await start_run(connection, asked))

    short = await accept_run(request, caller, body, asked)
    return short or await accept_once(request, caller, body, work)


@router.post(
    "/webhooks/{workflow}",
    status_code=ACCEPTED,
    summary="Trigger a named workflow",
    responses=RUN_ACCEPTED,
    openapi_extra=object_schema({"topic": "Why ice floats", "row_number": 12}),
)
async def post_webhook(request: Request, workflow: str) -> Response:
    """The body is trigger data: fields of a run win over the workflow's configuration, others are
    kept with the run."""
    caller, body = await admit_with_body(request, "runs:write")

    web = web_of(request)

    async def work(connection: Connection) -> dict[str, Any]:
        row = None if "\x00" in workflow else await Workflows(connection).find(name=workflow)
        if row is None:
            raise NotFound(f"there is no workflow {workflow[:100]!r}")
        asked = _triggered(web, row, body)
        web.memories.workflows.put(workflow, row)
        return _started(await start_run(connection, asked, workflow=row.name, trigger_data=body))

    known = web.memories.workflows.get(workflow)
    if known is not None:
        with suppress(Problem):  # the workflow may have changed since: the long way tells
            asked = _triggered(web, known, body)
            short = await accept_run(request, caller, body, asked, workflow=known)
            if short is not None:
                return short
    return await accept_once(request, caller, body, work)


def _triggered(web: Web, row: WorkflowRow, body: dict[str, Any]) -> RunRequest:
    """The run that a workflow makes of trigger data. Raises `Problem`."""
    if not row.is_active or row.workflow_type != TRIGGERED_TYPE:
        why = "is disabled" if not row.is_active else f"is of type {row.workflow_type}"
        raise Problem(409, f"workflow {row.name!r} {why}: it starts no runs")
    fields: dict[str, Any] = {"priority": row.priority}
    if row.channel_name is not None:
        fields["channel"] = row.channel_name
    for source in (row.configuration, body):
        fields |= {name: source[name] for name in RunRequest.model_fields if name in source}
    return _read_request(web, fields, what="the trigger data")


@router.get("/v1/runs", summary="List runs, newest first")
async def get_runs(
    request: Request,
    channel: Annotated[str | None, Query(max_length=100, description="Name or id.")] = None,
    status: Annotated[ExecutionStatus | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    await admit(request, "runs:read")
    before, before_id = _read_run_cursor(cursor)
    async with transaction(web_of(request).pool) as connection:
        rows = await Executions(connection).list(
            channel_id=await _channel_id(connection, channel),
            status=status,
            before=before,
            before_id=before_id,
            limit=limit + 1,
        )
    shown = rows[:limit]
    more = make_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return page([_listed(row) for row in shown], more)


@router.get("/v1/runs/{run_id}", summary="A run with its steps, cost and error")
async def get_run(request: Request, run_id: UUID) -> Response:
    await admit(request, "runs:read")
    async with transaction(web_of(request).pool) as connection:
        try:
            return json_response((await load_overview(connection, run_id)).document())
        except NotFound as error:
            raise Problem(404, str(error)) from error


@router.post("/v1/runs/{run_id}/approve", summary="Let a run go on that waits for a person")
async def post_approve(request: Request, run_id: UUID) -> Response:
    caller = await admit(request, "runs:write")
    async with transaction(web_of(request).pool) as connection:
        try:
            await load_overview(connection, run_id)
            await approve_run(connection, run_id, approved_by=caller.name)
            return json_response((await load_overview(connection, run_id)).document())
        except NotFound as error:
            raise Problem(404, str(error)) from error
        except NotWaiting as error:
            raise Problem(409, str(error)) from error


def _read_request(web: Web, fields: dict[str, Any], *, what: str) -> RunRequest:
    """Strict: a number in quotes is not a number. Raises `Problem`."""
    try:
        asked = RunRequest.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        raise invalid(error, what=what) from None
    if asked.callback_url is not None:
        try:
            web.callback_rules.check(asked.callback_url)
        except RefusedAddress as error:
            wrong = {"field": "callback_url", "message": str(error)}
            raise Problem(
                422, f"{what} cannot be used: callback_url: {error}", errors=[wrong]
            ) from None
    return asked


async def _channel_id(connection: Connection, channel: str | None) -> UUID | None:
    if channel is None:
        return None
    if "\x00" in channel:
        raise Problem(422, "channel holds NUL, which no name does")
    try:
        return (await require_channel(connection, channel)).id
    except NotFound as error:
        raise Problem(404, str(error)) from error


def _read_run_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    if cursor is None:
        return None, None
    parts = read_cursor(cursor)
    try:
        moment, id_ = parts
        before = datetime.fromisoformat(moment)
        if before.tzinfo is None:
            raise bad_cursor()
        return before, UUID(id_)
    except ValueError:
        raise bad_cursor() from None


def _started(started: Started) -> dict[str, Any]:
    return run_answer(started.execution_id, started.video_id, started.job_id)


def _listed(row: ExecutionListed) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "current_step": row.current_step,
        "channel": {"id": row.channel_id, "name": row.channel_name},
        "video": {"id": row.video_id, "title": row.title},
        "cost": row.cost,
        "error": row.error_message,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "completed_at": row.completed_at,
        "next_retry_at": row.next_retry_at,
        "n8n_execution_id": row.n8n_execution_id,
    }
