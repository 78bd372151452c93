"""Every error as RFC 9457 problem+json, with a detail that a person can act on."""

import http
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from db.errors import (
    CommitUnknown,
    Contended,
    DatabaseError,
    InvalidValue,
    SchemaMissing,
    Unavailable,
)
from workers.web.preview_page import message_page

log = structlog.get_logger()

PAGES = "/preview/"
TITLES = {403: "This link opens nothing", 409: "Nothing was changed", 404: "It is not here"}
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
DETAILS = {
    404: "there is nothing at this path; the paths are listed in /openapi.json",
    405: "this path does not take this method; see the Allow header and /openapi.json",
}


class Problem(Exception):
    """Ends a request with this status and detail; never holds a secret."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)


def invalid(error: ValidationError | RequestValidationError, *, what: str) -> Problem:
    """422 naming each field that is wrong, and never its value."""
    errors = [
        {"field": ".".join(map(str, each["loc"])) or what, "message": str(each["msg"])}
        for each in error.errors()
    ]
    said = "; ".join(f"{each['field']}: {each['message']}" for each in errors)
    return Problem(422, f"{what} cannot be used: {said}", errors=errors)


def problem_response(request: Request, problem: Problem) -> Response:
    """The response of a problem, with the id under which the log has the request; a page where a
    person follows a link."""
    if request.url.path.startswith(PAGES) and "text/html" in request.headers.get("accept", ""):
        title = TITLES.get(problem.status, http.HTTPStatus(problem.status).phrase)
        page = message_page(title, f"{problem.detail[:1].upper()}{problem.detail[1:]}.")
        return HTMLResponse(page, status_code=problem.status, headers=problem.headers)
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "request_id": request.scope.get("ytempire.request_id"),
    }
    if problem.errors:
        content["errors"] = problem.errors
    return JSONResponse(
        content, status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def _from_database(error: DatabaseError) -> Problem:
    again = {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(error, CommitUnknown):
        detail = (
            "the database went away while this was saved: repeat the request with the same"
            " Idempotency-Key to learn whether it was"
        )
        return Problem(503, detail, headers=again)
    if isinstance(error, (Unavailable, Contended)):
        return Problem(503, "the database does not answer now; repeat the request", headers=again)
    if isinstance(error, InvalidValue):
        return Problem(
            422, "the request holds a value that the database cannot: a time out of range"
        )
    if isinstance(error, SchemaMissing):
        return Problem(503, "the database is not migrated; run: ytempire db migrate")
    return Problem(500, "something is wrong in ytempire itself; its log names this request_id")


def add_problem_handlers(app: FastAPI, *, first: Callable[[Request], Awaitable[None]]) -> None:
    """Answer every exception of a handler, and what the framework itself refuses. `first` may raise
    a `Problem` that comes before any other."""

    @app.exception_handler(Problem)
    async def of_ours(request: Request, error: Problem) -> Response:
        try:
            await first(request)
        except Problem as before:
            error = before
        except DatabaseError as away:
            return await of_database(request, away)
        return problem_response(request, error)

    @app.exception_handler(RequestValidationError)
    async def of_parameters(request: Request, error: RequestValidationError) -> Response:
        return problem_response(request, invalid(error, what="the request"))

    @app.exception_handler(HTTPException)
    async def of_framework(request: Request, error: HTTPException) -> Response:
        detail = DETAILS.get(error.status_code, str(error.detail))
        problem = Problem(error.status_code, detail, headers=error.headers)
        return problem_response(request, problem)

    @app.exception_handler(DatabaseError)
    async def of_database(request: Request, error: DatabaseError) -> Response:
        problem = _from_database(error)
        if problem.status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("web.request_failed", exc_info=error)
        else:
            log.warning("web.database_unavailable", error=str(error))
        return problem_response(request, problem)

    @app.exception_handler(ClientDisconnect)
    async def of_the_caller(request: Request, error: ClientDisconnect) -> Response:
        return problem_response(request, Problem(400, "the connection ended within the body"))
