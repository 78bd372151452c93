"""The HTTP service: triggers, jobs, status, health. Section 10 of the design."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from secrets import token_hex
from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.web import health, jobs, preview, run_control, runs
from workers.web.admission import confirm
from workers.web.context import Web
from workers.web.preview_page import HEADERS
from workers.web.problems import Problem, add_problem_handlers, problem_response
from workers.web.schema import PROBLEMS

log = structlog.get_logger()

SECURITY = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
OPEN_PATHS = frozenset(("/livez", "/readyz", "/metrics"))
PREVIEWS = "/preview/"


def make_web(web: Web) -> FastAPI:
    """The application over an open pool; it gives leased requests back when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await web.announcer.close()
        await web.hourly.close()

    app = FastAPI(
        title="ytempire",
        version=version("ytempire"),
        description="Start runs of the line, watch them, and be called back when they end.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=PROBLEMS,
    )
    app.state.web = web
    add_problem_handlers(app, first=confirm)
    for part in (runs, run_control, jobs, preview, health):
        app.include_router(part.router)
    app.add_middleware(Observed, web=web)
    _document_security(app)
    return app


def _document_security(app: FastAPI) -> None:
    document = app.openapi()
    document["components"] = {
        **document.get("components", {}),
        "securitySchemes": SECURITY,
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path not in OPEN_PATHS and not path.startswith(PREVIEWS):
                operation["security"] = [{name: []} for name in SECURITY]


class Observed:
    """Gives each request an id, counts its answer, and turns what nobody caught into a 500 that
    tells nothing but that id."""

    def __init__(self, app: ASGIApp, web: Web) -> None:
        self._app = app
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = token_hex(16)
        scope["ytempire.request_id"] = request_id
        began = time.monotonic()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    *(PAGE_HEADERS if scope["path"].startswith(PREVIEWS) else ()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            log.exception("web.request_failed", request_id=request_id)
            if status:
                raise
            failed = Problem(500, "something is wrong in ytempire itself; its log names this id")
            response = problem_response(Request(scope), failed)
            await response(scope, receive, sending)
        finally:
            route: Any = scope.get("route")
            self._web.metrics.count(
                method=scope["method"] if scope["method"] in METHODS else "other",
                route=getattr(route, "path", "none"),
                status=status,
                seconds=time.monotonic() - began,
            )


PAGE_HEADERS = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
