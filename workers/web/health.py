"""`/livez`, `/readyz` and `/metrics`: for supervisors and collectors; no key, and no names."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from db.pool import acquired
from db.repositories.queues import Queues
from db.revisions import head_revision
from db.statements import load
from workers.web.context import web_of
from workers.web.problems import Problem

router = APIRouter()
_SQL = load("schema")


@router.get("/livez", summary="This process answers", response_class=PlainTextResponse)
async def livez() -> str:
    return "ok\n"


@router.get("/readyz", summary="Requests can be served", response_class=PlainTextResponse)
async def readyz(request: Request) -> str:
    async with acquired(web_of(request).pool) as connection:
        row = await _SQL["schema_get_revision"].one(connection)
    if row["version_num"] != head_revision():
        raise Problem(
            503,
            f"the database is at revision {row['version_num']}, this version needs"
            f" {head_revision()}; run: ytempire db migrate",
        )
    return "ok\n"


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    web = web_of(request)
    async with acquired(web.pool) as connection:
        queues = await Queues(connection).status()
    return Response(web.metrics.render(queues), media_type=CONTENT_TYPE_LATEST)
