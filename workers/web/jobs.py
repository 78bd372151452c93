"""`/v1/jobs`: put jobs into the queue and look at them."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from db.pool import Connection, acquired
from db.repositories.jobs import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    JOB_TYPE_CHARACTERS,
    Job,
    Jobs,
    enqueue,
)
from workers.web.admission import admit, admit_with_body
from workers.web.answers import (
    ACCEPTED,
    accept_once,
    bad_cursor,
    json_response,
    make_cursor,
    page,
    read_cursor,
)
from workers.web.context import web_of
from workers.web.problems import Problem, invalid
from workers.web.schema import JOB_ACCEPTED, Cursor, Limit, body_schema

router = APIRouter()

JobStatus = Literal["pending", "processing", "completed", "failed", "cancelled", "aborted"]
JOB_EXAMPLE = {"job_type": "maintenance.noop", "payload": {}, "priority": 5}
LARGEST_SEQ = 2**63 - 1


class JobRequest(BaseModel):
    """The body of `POST /v1/jobs`. Without `queue`, the job type's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_type: Annotated[str, Field(min_length=1, max_length=JOB_TYPE_CHARACTERS)]
    payload: dict[str, Any] = Field(default_factory=dict)
    priority: Annotated[int, Field(ge=1, le=10)] = DEFAULT_PRIORITY
    scheduled_for: AwareDatetime | None = None
    queue: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_MAX_ATTEMPTS


@router.post(
    "/v1/jobs",
    status_code=ACCEPTED,
    summary="Put one job into the queue",
    responses=JOB_ACCEPTED,
    openapi_extra=body_schema(JobRequest, JOB_EXAMPLE),
)
async def post_job(request: Request) -> Response:
    web = web_of(request)
    caller, body = await admit_with_body(request, "jobs:write")
    try:
        asked = JobRequest.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        raise invalid(error, what="the job") from None
    queue = web.tasks.get(asked.job_type)
    if queue is None:
        known = ", ".join(sorted(web.tasks))
        raise Problem(422, f"there is no job type {asked.job_type!r}; there are: {known}")

    async def work(connection: Connection) -> dict[str, Any]:
        job_id = await enqueue(
            connection,
            job_type=asked.job_type,
            payload=asked.payload,
            queue=asked.queue or queue,
            priority=asked.priority,
            scheduled_for=asked.scheduled_for,
            max_attempts=asked.max_attempts,
            requested_by=caller.name,
        )
        return {"job_id": str(job_id), "status_url": f"/v1/jobs/{job_id}"}

    return await accept_once(request, caller, body, work)


@router.get("/v1/jobs", summary="List jobs, newest first")
async def get_jobs(
    request: Request,
    status: Annotated[JobStatus | None, Query()] = None,
    job_type: Annotated[str | None, Query(max_length=JOB_TYPE_CHARACTERS)] = None,
    queue: Annotated[str | None, Query(max_length=40)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    await admit(request, "jobs:read")
    if any("\x00" in text for text in (job_type, queue) if text):
        raise Problem(422, "a filter holds NUL, which no name does")
    async with acquired(web_of(request).pool) as connection:
        rows = await Jobs(connection).list(
            status=status,
            job_type=job_type,
            queue=queue,
            before=_read_job_cursor(cursor),
            most=limit + 1,
        )
    shown = rows[:limit]
    more = make_cursor(shown[-1].created_at, shown[-1].seq) if len(rows) > limit else None
    return page([_shown(row) for row in shown], more)


@router.get("/v1/jobs/{job_id}", summary="A job")
async def get_job(request: Request, job_id: UUID) -> Response:
    await admit(request, "jobs:read")
    async with acquired(web_of(request).pool) as connection:
        job = await Jobs(connection).get(job_id)
    if job is None:
        raise Problem(404, f"there is no job {job_id}")
    return json_response(_shown(job))


def _read_job_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    parts = read_cursor(cursor)
    try:
        moment, seq = parts
        before = datetime.fromisoformat(moment), int(seq)
    except ValueError:
        raise bad_cursor() from None
    if before[0].tzinfo is None or not 0 <= before[1] <= LARGEST_SEQ:
        raise bad_cursor()
    return before


def _shown(job: Job) -> dict[str, Any]:
    return asdict(job)
