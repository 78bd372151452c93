"""YouTube's resumable upload: sessions that any process goes on with, from where the server is.

Before bytes are sent the server is asked what it has (`bytes */N`); after trouble it is asked
again. The SDK's own repeat is off: it would send a consumed stream, and hang.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaFileUpload, MediaUpload

from pipeline.errors import Transient
from pipeline.hosting import EndedSession, UploadDraft
from pipeline.ports import Progress
from pipeline.providers.youtube_calls import NETWORK_TROUBLE, YouTubeCalls, refusal_of
from pipeline.providers.youtube_errors import RULES, Action, rule_for

CHUNK_QUANTUM = 256 * 1024
CHUNK_BYTES = 32 * CHUNK_QUANTUM
MEDIA_TYPE = "video/mp4"
# Questions in a row that brought no byte further, before the queue decides when to go on.
FRUITLESS_ROUNDS = 4
_GONE = frozenset({404, 410})
_GIVEN_UP = frozenset({200, 204, 404, 405, 410, 499})


class _Chunks(MediaFileUpload):  # type: ignore[misc] # the SDK has no types
    """A file that is sent as bytes, never as a stream: a stream cannot be sent twice."""

    def has_stream(self) -> bool:
        return False


class _Announced(MediaUpload):  # type: ignore[misc] # the SDK has no types
    """A file of which only the size is known yet."""

    def __init__(self, size: int) -> None:
        self._size = size

    def size(self) -> int:
        return self._size

    def mimetype(self) -> str:
        return MEDIA_TYPE

    def resumable(self) -> bool:
        return True

    def chunksize(self) -> int:
        return CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the server says of a session: the bytes it keeps, or the finished video."""

    offset: int = 0
    video: dict[str, Any] | None = None


def insert_body(draft: UploadDraft) -> dict[str, Any]:
    """The resource of a new video. Privacy is always told: without it the video is public."""
    return {
        "snippet": {
            "title": draft.title,
            "description": draft.description,
            "tags": list(draft.tags),
            "categoryId": draft.category_id,
            "defaultLanguage": draft.language,
            "defaultAudioLanguage": draft.language,
        },
        "status": {
            "privacyStatus": "private",
            "selfDeclaredMadeForKids": draft.made_for_kids,
            "containsSyntheticMedia": draft.synthetic_media,
        },
    }


async def open_session(calls: YouTubeCalls, draft: UploadDraft) -> str:
    """Announce a video; the address of its session, which is a secret."""
    doing = f"the upload of {draft.title!r}"

    def start(own: AuthorizedHttp) -> str:
        request = calls.data.videos().insert(
            part="snippet,status",
            body=insert_body(draft),
            notifySubscribers=False,
            media_body=_Announced(draft.size_bytes),
        )
        # Not the SDK's next_chunk(): that sends the first bytes too, before anybody could keep
        # the session's address.
        response, content = own.request(
            request.uri,
            method="POST",
            body=request.body,
            headers={
                **request.headers,
                "X-Upload-Content-Type": MEDIA_TYPE,
                "X-Upload-Content-Length": str(draft.size_bytes),
            },
        )
        if response.status != 200:
            raise HttpError(response, content)
        return str(response.get("location", ""))

    try:
        session_uri = await calls.in_thread(start, doing)
    except NETWORK_TROUBLE as error:
        raise Transient(f"{doing}: YouTube cannot be reached") from error
    except HttpError as error:
        raise calls.failure(error, doing) from error
    if not session_uri:
        raise Transient(f"{doing}: YouTube named no session to send to")
    return session_uri


async def end_session(calls: YouTubeCalls, session_uri: str) -> EndedSession:
    """Give a session up.

    YouTube documents no way to do so. Its upload server takes the DELETE that Google's other
    services document, and answers 499; where it does not, the session expires, unused, in a week.
    """
    doing = "the end of an upload that was cancelled"

    def end(own: AuthorizedHttp) -> EndedSession:
        response, content = own.request(
            session_uri,
            method="PUT",
            headers={"Content-Range": "bytes */*", "Content-Length": "0"},
        )
        if response.status in (200, 201):
            return EndedSession(True, _id_of(json.loads(content), doing))
        if response.status in _GONE:
            return EndedSession(known=False)
        if response.status != 308:
            raise HttpError(response, content)
        response, content = own.request(
            session_uri, method="DELETE", headers={"Content-Length": "0"}
        )
        if response.status not in _GIVEN_UP:
            raise HttpError(response, content)
        return EndedSession(known=True)

    try:
        return await calls.in_thread(end, doing)
    except NETWORK_TROUBLE as error:
        raise Transient(f"{doing}: YouTube cannot be reached") from error
    except HttpError as error:
        raise calls.failure(error, doing) from error


class ResumableSend:
    """Sends one file to one session."""

    def __init__(
        self,
        calls: YouTubeCalls,
        session_uri: str,
        video: Path,
        *,
        progress: Progress,
        chunk_bytes: int,
        pause: Callable[[int], Awaitable[None]],
    ) -> None:
        if chunk_bytes % CHUNK_QUANTUM:
            raise ValueError(f"YouTube takes chunks of a multiple of {CHUNK_QUANTUM} bytes")
        self._calls = calls
        self._session_uri = session_uri
        self._video = video
        self._size = video.stat().st_size
        self._progress = progress
        self._chunk_bytes = chunk_bytes
        self._pause = pause
        self._doing = f"the upload of {video.name}"
        self._gone = False

    async def run(self) -> str | None:
        """The video's id; None when YouTube no longer knows the session."""
        furthest, fruitless = -1, 0
        while True:
            kept = await self._attempt(self._ask, sending=False)
            if kept is not None and kept.video is None:
                kept = await self._send_from(kept.offset) or kept
            if kept is not None and kept.video is not None:
                self._progress(1.0)
                return _id_of(kept.video, self._doing)
            if self._gone:
                return None
            offset = kept.offset if kept is not None else furthest
            fruitless = 0 if offset > furthest else fruitless + 1
            furthest = max(furthest, offset)
            if fruitless >= FRUITLESS_ROUNDS:
                raise Transient(
                    f"{self._doing} gets no further than byte {max(furthest, 0)} of {self._size};"
                    " the next attempt goes on from there"
                )
            if fruitless:
                await self._pause(fruitless)

    async def _attempt(
        self, work: Callable[[AuthorizedHttp], _Kept], *, sending: bool
    ) -> _Kept | None:
        """The work's answer; None for trouble that asking again may cure, or a session that is
        gone."""
        try:
            return await self._calls.in_thread(work, self._doing)
        except NETWORK_TROUBLE:
            return None
        except HttpError as error:
            if int(error.resp.status) in _GONE:
                self._gone = True
                return None
            refusal = refusal_of(error)
            if rule_for(refusal).action is Action.RESUME:
                return None
            if sending and refusal.status == 400 and refusal.reason not in RULES:
                # httplib2 repeats a request whose connection broke: YouTube may have had the
                # chunk, and refuse it the second time. What it has, it is asked.
                return None
            raise self._calls.failure(error, self._doing) from error

    def _ask(self, own: AuthorizedHttp) -> _Kept:
        """What the server has: an empty PUT that names only the size."""
        response, content = own.request(
            self._session_uri,
            method="PUT",
            headers={"Content-Range": f"bytes */{self._size}", "Content-Length": "0"},
        )
        if response.status == 308:
            return _Kept(_kept_bytes(response))
        if response.status in (200, 201):
            return _Kept(self._size, json.loads(content))
        raise HttpError(response, content)

    async def _send_from(self, offset: int) -> _Kept | None:
        """Send chunk after chunk; what the server had at the end or before trouble."""
        if offset >= self._size:
            return None  # it has everything and is not done with it: ask again
        media = await asyncio.to_thread(
            _Chunks,
            str(self._video),
            mimetype=MEDIA_TYPE,
            chunksize=self._chunk_bytes,
            resumable=True,
        )
        with contextlib.closing(media.stream()):
            request = self._calls.data.videos().insert(part="id", body={}, media_body=media)
            request.resumable_uri = self._session_uri
            request.resumable_progress = offset
            while True:
                before = request.resumable_progress

                def chunk(own: AuthorizedHttp, request: Any = request) -> _Kept:
                    _, video = request.next_chunk(http=own, num_retries=0)
                    return _Kept(request.resumable_progress, video)

                kept = await self._attempt(chunk, sending=True)
                if kept is None:
                    return _Kept(before) if before > offset else None
                if kept.video is not None:
                    return kept
                self._progress(min(kept.offset / self._size, 1.0))
                if kept.offset <= before or kept.offset >= self._size:
                    return kept


def _kept_bytes(response: Any) -> int:
    """The bytes a 308 speaks of; without a Range header none is kept."""
    last = str(response.get("range", "")).rpartition("-")[2]
    return int(last) + 1 if last.isdigit() else 0


def _id_of(video: Any, doing: str) -> str:
    id_ = video.get("id") if isinstance(video, dict) else None
    if not isinstance(id_, str) or not id_:
        raise Transient(f"{doing} ended without the id of a video; the next attempt asks again")
    return id_
