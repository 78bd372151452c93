"""Artifacts over HTTP: whole, or the range that a player asks for, straight from the store."""

import re
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from pipeline.domain import Artifact
from pipeline.errors import StageError
from workers.web.context import web_of
from workers.web.problems import Problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def send_artifact(request: Request, artifact: Artifact) -> Response:
    """The artifact, or one range of it (206, 416). Raises `Problem`: 503 when the store does not
    give it. Several ranges at once are answered with the whole, as a server may."""
    etag = f'"{artifact.sha256}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", etag) == etag:
        start, end, status = _range(asked, artifact.size_bytes)
    else:
        start, end, status = 0, artifact.size_bytes, 200
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{artifact.size_bytes}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=artifact.media_type)
    pieces = web_of(request).store.read(artifact, start=start, end=end)
    return StreamingResponse(
        await _begun(pieces), status_code=status, headers=headers, media_type=artifact.media_type
    )


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, the first of which is there: what the store refuses is known before the 200."""
    try:
        first = await anext(pieces, b"")
    except StageError as error:
        raise Problem(503, f"the file cannot be read now: {error}") from error

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


def _range(asked: str, size: int) -> tuple[int, int, int]:
    """(start, end, status) of a Range header; what is not understood counts as not asked."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size, 200
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return 0, size, 200
    if start >= end:
        raise Problem(
            416,
            f"the file has {size} bytes; the range lies outside",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return start, end, 206
