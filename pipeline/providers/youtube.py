"""YouTube as a video host, seen through one account.

What YouTube keeps to itself is asked of it: an upload is private until `publish`, and `publish`
changes exactly one video, after another look at whose it is.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload

from pipeline.domain import Statistics, Visibility
from pipeline.errors import Rejected, Transient
from pipeline.hosting import (
    AccountEffect,
    AccountTrouble,
    EndedSession,
    HostedVideo,
    Publication,
    UploadDraft,
)
from pipeline.ports import Progress
from pipeline.providers.youtube_calls import (
    NETWORK_TROUBLE,
    QuotaMeter,
    TokenSource,
    YouTubeCalls,
    refusal_of,
)
from pipeline.providers.youtube_errors import Action, Refusal, rule_for, verdict_trouble
from pipeline.providers.youtube_upload import CHUNK_BYTES, ResumableSend, end_session, open_session

NEWEST = 50
THUMBNAIL_BYTES = 50 << 20
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PNG = b"\x89PNG"


@dataclass(frozen=True, slots=True)
class YouTubeOptions:
    """`channel_id` is the channel the account is known for. `look_up_waits`: seconds before each
    further look for a video whose upload ended unheard; YouTube lists it after a while."""

    account_id: UUID
    channel_id: str
    root: str | None = None
    chunk_bytes: int = CHUNK_BYTES
    look_up_waits: tuple[float, ...] = (5, 15, 30, 60)
    trouble_pause_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class ChannelIdentity:
    """The channel a token belongs to. `uploads` is its playlist of all uploads."""

    channel_id: str
    title: str
    handle: str | None
    uploads: str


async def identify(calls: YouTubeCalls) -> ChannelIdentity:
    """Whose token it is: one unit of quota. Raises `Waiting` for an account without a channel."""
    doing = "the look at the account's own channel"
    answer = await calls.send(
        lambda: calls.data.channels().list(part="id,snippet,contentDetails", mine=True), doing
    )
    items = answer.get("items") or []
    if not items:
        nobody = Refusal(401, "youtubeSignupRequired", "the account has no channel")
        raise calls.failure_of(nobody, doing)
    snippet = items[0].get("snippet", {})
    return ChannelIdentity(
        channel_id=str(items[0]["id"]),
        title=str(snippet.get("title", "")),
        handle=snippet.get("customUrl"),
        uploads=str(items[0].get("contentDetails", {}).get("relatedPlaylists", {})["uploads"]),
    )


class YouTubeHost:
    """`VideoHost` and `VideoStatistics` over the Data API, for one account.

    Raises what the table in `youtube_errors` asks for, with `trouble` where a refusal is about the
    account.
    """

    def __init__(
        self,
        tokens: TokenSource,
        options: YouTubeOptions,
        *,
        meter: QuotaMeter,
        clock: Callable[[], datetime],
        chance: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._sleep = sleep
        self._calls = YouTubeCalls(
            tokens,
            account_id=options.account_id,
            meter=meter,
            clock=clock,
            chance=chance,
            root=options.root,
        )

    @property
    def calls(self) -> YouTubeCalls:
        """The account's way to YouTube, for reports that are no part of the ports."""
        return self._calls

    async def owner(self) -> str:
        """The id of the channel that the token belongs to."""
        return (await identify(self._calls)).channel_id

    async def open_upload(self, draft: UploadDraft) -> str:
        """Announce a private video; the session's address is a secret."""
        return await open_session(self._calls, draft)

    async def send(self, session_uri: str, video: Path, *, progress: Progress) -> str | None:
        """Send what the session lacks, in chunks; a finished session answers its video again."""

        async def pause(fruitless: int) -> None:
            await self._sleep(self._options.trouble_pause_seconds * 2.0 ** (fruitless - 1))

        sending = ResumableSend(
            self._calls,
            session_uri,
            video,
            progress=progress,
            chunk_bytes=self._options.chunk_bytes,
            pause=pause,
        )
        return await sending.run()

    async def abandon(self, session_uri: str) -> EndedSession:
        """Give the session up, as far as YouTube lets us."""
        return await end_session(self._calls, session_uri)

    async def find(self, marker: str) -> str | None:
        """Look for the marker among the newest uploads, private ones included, several times
        before it is said to be absent: a new upload is listed with some delay."""
        for wait in (0.0, *self._options.look_up_waits):
            if wait:
                await self._sleep(wait)
            found = await self._find(marker)
            if found is not None:
                return found
        return None

    async def _find(self, marker: str) -> str | None:
        identity = await identify(self._calls)
        doing = "the look through the channel's uploads"
        listed = await self._calls.send(
            lambda: self._calls.data.playlistItems().list(
                part="snippet,contentDetails", playlistId=identity.uploads, maxResults=NEWEST
            ),
            doing,
        )
        ids = []
        for item in listed.get("items") or []:
            id_ = str(item["contentDetails"]["videoId"])
            if marker in str(item["snippet"].get("description", "")).split():
                return id_
            ids.append(id_)
        if not ids:
            return None
        # A description may have been edited at YouTube; the tag is the second place.
        videos = await self._calls.send(
            lambda: self._calls.data.videos().list(part="snippet", id=",".join(ids)), doing
        )
        marked = {
            str(video["id"])
            for video in videos.get("items") or []
            if marker in video["snippet"].get("tags", ())
        }
        return next((id_ for id_ in ids if id_ in marked), None)

    async def publish(
        self, video_id: str, visibility: Visibility, publish_at: datetime | None
    ) -> Publication:
        """Change the visibility of this video of this channel, if it is not so already."""
        video = await self._video(video_id, "snippet,status")
        channel_id = str(video["snippet"]["channelId"])
        if channel_id != self._options.channel_id:
            raise Rejected(
                f"video {video_id} is on channel {channel_id}, not on {self._options.channel_id}:"
                " it is left as it is",
                trouble=AccountTrouble(
                    self._options.account_id, AccountEffect.DISABLE, "wrongChannel"
                ),
            )
        wanted = self._wanted(video["status"], visibility, publish_at)
        if wanted is not None:
            body = {"id": video_id, "status": wanted}
            await self._calls.send(
                lambda: self._calls.data.videos().update(part="status", body=body),
                f"publishing video {video_id}",
            )
            video = await self._video(video_id, "snippet,status")
        return _publication(video_id, video)

    def _wanted(
        self, status: Mapping[str, Any], visibility: Visibility, publish_at: datetime | None
    ) -> dict[str, Any] | None:
        """The status to set; None when the video has it. What an update leaves out, YouTube
        resets: everything that was set is sent again."""
        scheduled = publish_at is not None and visibility is not Visibility.PRIVATE
        due = scheduled and publish_at is not None and publish_at <= self._calls.now()
        now_is = Visibility(status["privacyStatus"])
        if scheduled and not due and now_is is Visibility.PRIVATE:
            if visibility is not Visibility.PUBLIC:
                raise Rejected(f"YouTube can schedule only what becomes public, not {visibility}")
            if _moment(status.get("publishAt")) == publish_at:
                return None
            change = {"privacyStatus": "private", "publishAt": _rfc3339(publish_at)}
        elif now_is is visibility and not status.get("publishAt"):
            return None
        else:
            change = {"privacyStatus": visibility.value}
        kept = ("embeddable", "license", "publicStatsViewable")
        return {
            **{name: status[name] for name in kept if name in status},
            "selfDeclaredMadeForKids": bool(status.get("selfDeclaredMadeForKids", False)),
            "containsSyntheticMedia": bool(status.get("containsSyntheticMedia", True)),
            **change,
        }

    async def add_thumbnail(self, video_id: str, image: Path) -> None:
        """Set the thumbnail, a JPEG or PNG of at most 50 MB."""
        id_ = _checked(video_id)
        picture = await asyncio.to_thread(image.read_bytes)
        if len(picture) > THUMBNAIL_BYTES:
            raise Rejected(f"{image.name} has {len(picture)} bytes; YouTube takes 50 MiB")
        kind = "image/png" if picture.startswith(_PNG) else "image/jpeg"
        await self._calls.send(
            lambda: self._calls.data.thumbnails().set(
                videoId=id_, media_body=MediaInMemoryUpload(picture, mimetype=kind)
            ),
            f"the thumbnail of video {id_}",
        )

    async def add_captions(self, video_id: str, captions: Path, language: str) -> None:
        """Add the track of a language; one that is there already is success."""
        id_ = _checked(video_id)
        text = await asyncio.to_thread(captions.read_bytes)
        snippet = {"videoId": id_, "language": language, "name": "", "isDraft": False}
        await self._once(
            lambda: self._calls.data.captions().insert(
                part="snippet",
                body={"snippet": snippet},
                media_body=MediaInMemoryUpload(text, mimetype="application/octet-stream"),
            ),
            f"the captions of video {id_}",
        )

    async def add_to_playlist(self, video_id: str, playlist_id: str) -> None:
        """Add the video to a playlist; one that has it already is success."""
        id_ = _checked(video_id)
        resource = {"kind": "youtube#video", "videoId": id_}
        await self._once(
            lambda: self._calls.data.playlistItems().insert(
                part="snippet",
                body={"snippet": {"playlistId": playlist_id, "resourceId": resource}},
            ),
            f"adding video {id_} to playlist {playlist_id}",
        )

    async def _once(self, make: Callable[[], Any], doing: str) -> None:
        """Send a request whose repeat YouTube refuses as done already."""
        try:
            await self._calls.in_thread(lambda own: make().execute(http=own), doing)
        except NETWORK_TROUBLE as error:
            raise Transient(f"{doing}: YouTube cannot be reached") from error
        except HttpError as error:
            if rule_for(refusal_of(error)).action is not Action.DONE:
                raise self._calls.failure(error, doing) from error

    async def inspect(self, video_id: str) -> HostedVideo:
        """Processing, privacy, and YouTube's own reason when it rejected or failed the video."""
        video = await self._video(video_id, "status,processingDetails")
        status, details = video["status"], video.get("processingDetails", {})
        # YouTube may have taken in a video (`processed`) that it still makes watchable.
        processing = str(details.get("processingStatus", "succeeded"))
        state = str(status.get("uploadStatus", ""))
        reason = {
            "rejected": status.get("rejectionReason", "unknown"),
            "failed": status.get("failureReason", "unknown"),
            "deleted": "it was deleted",
        }.get(state)
        if reason is None and processing in ("failed", "terminated"):
            state, reason = "processing failed", details.get("processingFailureReason", processing)
        return HostedVideo(
            video_id=video_id,
            visibility=Visibility(status["privacyStatus"]),
            processed=state == "processed" and processing == "succeeded",
            problem=f"{state}: {reason}" if reason is not None else None,
            trouble=verdict_trouble(str(reason), self._options.account_id),
        )

    async def statistics(self, video_id: str) -> Statistics:
        """The counters; one that the channel hides counts 0."""
        counted = (await self._video(video_id, "statistics")).get("statistics", {})
        return Statistics(
            video_id,
            self._calls.now(),
            views=int(counted.get("viewCount", 0)),
            likes=int(counted.get("likeCount", 0)),
            comments=int(counted.get("commentCount", 0)),
        )

    async def _video(self, video_id: str, part: str) -> dict[str, Any]:
        """The video's resource; `Rejected` when YouTube has none of this id, or shows it to us no
        more."""
        id_ = _checked(video_id)
        doing = f"the look at video {id_}"
        answer = await self._calls.send(
            lambda: self._calls.data.videos().list(part=part, id=id_), doing
        )
        items = answer.get("items") or []
        if not items:
            raise Rejected(f"YouTube has no video {id_}")
        video: dict[str, Any] = items[0]
        missing = [name for name in ("snippet", "status") if name in part and name not in video]
        if missing:
            raise Transient(f"{doing}: YouTube's answer lacks {', '.join(missing)}")
        return video


def _checked(video_id: str) -> str:
    if not _ID.fullmatch(video_id):
        raise Rejected(f"{video_id[:64]!r} cannot be a video of YouTube")
    return video_id


def _publication(video_id: str, video: Mapping[str, Any]) -> Publication:
    visibility = Visibility(video["status"]["privacyStatus"])
    private = visibility is Visibility.PRIVATE
    return Publication(
        video_id=video_id,
        url=f"https://www.youtube.com/watch?v={video_id}",
        channel_id=str(video["snippet"]["channelId"]),
        visibility=visibility,
        # A private video's publishedAt is when it was uploaded.
        published_at=None if private else _moment(video["snippet"].get("publishedAt")),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
