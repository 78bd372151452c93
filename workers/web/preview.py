"""`/preview/{token}`: a run's review page, its film, and the decision about it.

The token in the address is the whole right, so nothing here is cached, framed or logged, and what
a GET asks for changes nothing: mail scanners follow links.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs
from uuid import UUID

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from db.pool import Connection, transaction
from pipeline.domain import Cut, StageName
from workers.channels import NotFound
from workers.runs.control import reject_run
from workers.runs.preview_links import BadLink, ExpiredLink, Grant
from workers.runs.review import Review, load_review
from workers.runs.starting import RunConflict, approve_run
from workers.web.body import Limits, read_capped
from workers.web.context import web_of
from workers.web.media import send_artifact
from workers.web.preview_page import review_page
from workers.web.problems import Problem
from workers.web.schema import MEDIA, PAGE, SEE_OTHER, form_schema

log = structlog.get_logger()

router = APIRouter(prefix="/preview/{token}")

FORM_TYPE = "application/x-www-form-urlencoded"
FORM_LIMITS = Limits(body_bytes=16 * 1024)
DECIDED_BY = "preview link"
REASON_CHARACTERS = 2000

Token = Annotated[str, Path(max_length=200, description="As `run.waiting` gave it.")]


@router.get("", summary="A run's review page", responses=PAGE, response_class=HTMLResponse)
async def get_preview(request: Request, token: Token) -> Response:
    """The film, its words and facts, the cost so far; a form while a decision is awaited."""
    grant = _grant(request, token)
    async with transaction(web_of(request).pool) as connection:
        review = await _review(connection, grant.run)
    return HTMLResponse(review_page(review, grant, base=token))


@router.get("/video", summary="The film", responses=MEDIA, response_class=Response)
async def get_video(request: Request, token: Token) -> Response:
    """Whole or a range of it, as players ask."""
    return await send_artifact(request, (await _cut(request, token)).video)


@router.get("/thumbnail", summary="The thumbnail", responses=MEDIA, response_class=Response)
async def get_thumbnail(request: Request, token: Token) -> Response:
    return await send_artifact(request, (await _cut(request, token)).thumbnail)


@router.get(
    "/captions", summary="The captions, as WebVTT", responses=MEDIA, response_class=Response
)
async def get_captions(request: Request, token: Token) -> Response:
    """As WebVTT."""
    return await send_artifact(request, (await _cut(request, token)).vtt)


for _path, _get in (
    ("", get_preview),
    ("/video", get_video),
    ("/thumbnail", get_thumbnail),
    ("/captions", get_captions),
):
    # Players and link checkers ask so; the server leaves the body out.
    router.head(_path, include_in_schema=False)(_get)


@router.post(
    "/approve",
    summary="Let the run go on to its publication",
    status_code=303,
    responses=SEE_OTHER,
    response_class=Response,
    openapi_extra=form_schema("cut"),
)
async def post_approval(request: Request, token: Token) -> Response:
    """Approve the very film that the page showed; the page then shows where the run stands."""

    async def approve(connection: Connection, run: UUID, _form: Mapping[str, str]) -> None:
        await approve_run(connection, run, approved_by=DECIDED_BY)
        log.info("run.approved", run=str(run), by=DECIDED_BY)

    return await _decide(request, token, approve)


@router.post(
    "/reject",
    summary="Turn the film down",
    status_code=303,
    responses=SEE_OTHER,
    response_class=Response,
    openapi_extra=form_schema("cut", "reason", "to_step"),
)
async def post_rejection(request: Request, token: Token) -> Response:
    """The run fails with the reason, or, with `to_step`, goes back to that step with it."""

    async def reject(connection: Connection, run: UUID, form: Mapping[str, str]) -> None:
        reason = form.get("reason", "")
        if not 1 <= len(reason) <= REASON_CHARACTERS:
            raise Problem(422, f"give a reason of at most {REASON_CHARACTERS} characters")
        try:
            to_step = StageName(form["to_step"]) if form.get("to_step") else None
        except ValueError:
            raise Problem(422, "there is no such step to go back to") from None
        await reject_run(connection, run, by=DECIDED_BY, reason=reason, to_step=to_step)
        log.info("run.rejected", run=str(run), by=DECIDED_BY, to_step=to_step)

    return await _decide(request, token, reject)


async def _decide(
    request: Request,
    token: str,
    decision: Callable[[Connection, UUID, Mapping[str, str]], Awaitable[None]],
) -> Response:
    grant = _grant(request, token)
    form = await _form(request)
    async with transaction(web_of(request).pool) as connection:
        await _check_shown(connection, grant.run, form)
        try:
            await decision(connection, grant.run, form)
        except RunConflict as error:
            raise Problem(409, str(error)) from error
    return _back(token)


def _grant(request: Request, token: str) -> Grant:
    try:
        return web_of(request).links.read(token, now=datetime.now(UTC))
    except ExpiredLink as error:
        raise Problem(
            403,
            f"this link ended on {error.expired_at:%d %B %Y at %H:%M} UTC, and nothing was changed."
            " Whoever runs ytempire can get a fresh one with: ytempire run show"
            f" {str(error.run)[:8]}",
        ) from None
    except BadLink:
        raise Problem(
            403,
            "this is no whole link to a review page: open it from the message it came with, or copy"
            " it again, to its last letter",
        ) from None


async def _review(connection: Connection, run: UUID) -> Review:
    try:
        return await load_review(connection, run)
    except NotFound as error:
        raise Problem(404, "the run of this link is not there any more") from error


async def _cut(request: Request, token: str) -> Cut:
    grant = _grant(request, token)
    async with transaction(web_of(request).pool) as connection:
        review = await _review(connection, grant.run)
    if review.cut is None:
        raise Problem(404, "the film of this run is not made yet")
    return review.cut


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, each given once. Raises `Problem`."""
    body = await read_capped(request, FORM_LIMITS, types=(FORM_TYPE,))
    try:
        fields = parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=10,
        )
    except ValueError:  # UnicodeError is one
        raise Problem(400, "this is not the form of the page; open the page again") from None
    if any(len(values) != 1 or "\x00" in values[0] for values in fields.values()):
        raise Problem(400, "this is not the form of the page; open the page again")
    return {name: values[0].strip() for name, values in fields.items()}


async def _check_shown(connection: Connection, run: UUID, form: dict[str, str]) -> None:
    """Nobody decides about a film that they have not seen: the run may have made another since."""
    review = await _review(connection, run)
    if not review.awaits_decision or review.cut is None:
        raise Problem(
            409,
            f"there is nothing to decide any more, the run is {review.overview.run.status}: open"
            " the page again to see where it stands",
        )
    if form.get("cut") != review.cut.video.sha256:
        raise Problem(409, "the film was made anew since this page was opened; open it again")


def _back(token: str) -> Response:
    """To the page, by an address that a path before ours does not break."""
    return Response(status_code=303, headers={"Location": f"../{token}"})
