"""`POST /v1/runs/{id}/cancel|retry|reject`: what people decide about a run."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from db.pool import Connection, transaction
from pipeline.domain import StageName
from workers.channels import NotFound
from workers.runs.control import cancel_run, reject_run
from workers.runs.overview import load_overview
from workers.runs.retry import retry_run
from workers.runs.starting import RunConflict
from workers.web.admission import Caller, admit
from workers.web.answers import json_response
from workers.web.body import parse_object, read_body
from workers.web.context import web_of
from workers.web.problems import Problem, invalid
from workers.web.schema import decision_schema

router = APIRouter()

Reason = Annotated[str, Field(min_length=1, max_length=2000)]
Body = TypeVar("Body", bound=BaseModel)


class CancelBody(BaseModel):
    """Why a run is cancelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason | None = None


class RetryBody(BaseModel):
    """Where a run goes on; None: at the step it stands at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_step: StageName | None = None


class RejectBody(BaseModel):
    """Why a run that waits is turned down, and the step it goes back to (None: it fails)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason
    to_step: StageName | None = None


@router.post(
    "/v1/runs/{run_id}/cancel",
    summary="Stop a run where it is",
    openapi_extra=decision_schema(CancelBody, {"reason": "The topic is out of date"}),
)
async def post_cancel(request: Request, run_id: UUID) -> Response:
    """What it cost stays booked; a video that is at its host stays there, private."""

    async def work(connection: Connection, caller: Caller, asked: CancelBody) -> None:
        await cancel_run(connection, run_id, by=caller.name, reason=asked.reason)

    return await _decide(request, run_id, CancelBody, work)


@router.post(
    "/v1/runs/{run_id}/retry",
    summary="Let a run go on that ended or rests",
    openapi_extra=decision_schema(RetryBody, {"from_step": "render"}),
)
async def post_retry(request: Request, run_id: UUID) -> Response:
    """What comes before the step is used as it is; the step and those after it are done, and what
    they charge is paid, again."""

    async def work(connection: Connection, caller: Caller, asked: RetryBody) -> None:
        await retry_run(connection, run_id, from_step=asked.from_step)

    return await _decide(request, run_id, RetryBody, work)


@router.post(
    "/v1/runs/{run_id}/reject",
    summary="Turn down a run that waits for a person",
    openapi_extra=decision_schema(
        RejectBody, {"reason": "The second fact is wrong", "to_step": "script"}, required=True
    ),
)
async def post_reject(request: Request, run_id: UUID) -> Response:
    """It fails with the reason, or does a step and those after it again with the reason kept."""

    async def work(connection: Connection, caller: Caller, asked: RejectBody) -> None:
        await reject_run(
            connection, run_id, by=caller.name, reason=asked.reason, to_step=asked.to_step
        )

    return await _decide(request, run_id, RejectBody, work)


async def _decide(
    request: Request,
    run_id: UUID,
    model: type[Body],
    work: Callable[[Connection, Caller, Body], Awaitable[None]],
) -> Response:
    """Do it in one transaction and answer the run as it is then.

    By API key alone: a signed message could be sent again, and decide a second time.
    """
    caller = await admit(request, "runs:write")
    asked = await _read(request, model)
    async with transaction(web_of(request).pool) as connection:
        try:
            await work(connection, caller, asked)
            return json_response((await load_overview(connection, run_id)).document())
        except NotFound as error:
            raise Problem(404, str(error)) from error
        except RunConflict as error:
            raise Problem(409, str(error)) from error


async def _read(request: Request, model: type[Body]) -> Body:
    """The body; an absent one is an empty object."""
    limits = web_of(request).limits
    text = await read_body(request, limits)
    try:
        return model.model_validate(parse_object(text, limits) if text.strip() else {})
    except ValidationError as error:
        raise invalid(error, what="the body") from None
