"""A video host that is a folder, with the two phases of the real one.

    <root>/index.html                       the page of everything public
    <root>/<channel>/channel.json           whose folder it is
    <root>/<channel>/sessions/<id>/         an upload under way: session.json, data
    <root>/<channel>/videos/<id>/           a video: video.json, video.mp4, thumbnail.jpg, *.srt
    <root>/<channel>/published/<name>.mp4   what is not private, under a human name

`video.json` is the truth; files below `published/` are links made from it, and a repeat of any
step after a crash ends in the same state. Changes to a channel hold its lock, which the kernel
releases when the holder dies.
"""

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.domain import Statistics, Visibility
from pipeline.errors import Rejected, Transient
from pipeline.hosting import EndedSession, HostedVideo, Publication, UploadDraft
from pipeline.ports import Progress
from pipeline.providers.durable import (
    copy_durably,
    digest,
    disk_trouble,
    flush_folder,
    make_folder,
    write_durably,
)
from pipeline.providers.host_page import write_page
from pipeline.providers.host_records import (
    ChannelFolder,
    Session,
    Video,
    counters,
    human_name,
    locked,
    vtt_from_srt,
)

CHUNK_BYTES = 4 << 20
SESSION_LIFE = timedelta(days=7)  # as long as the real host is said to keep one
_SCHEME = "local-upload"
_PLAYLIST = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _now() -> datetime:
    return datetime.now(UTC)


class LocalHost:
    """`VideoHost` and `VideoStatistics` over a folder, for one channel.

    Any number of processes may use the same folder at once. Raises `Deferred` when the disk is
    full, `Waiting` when the folder may not be written, `Rejected` for a video it does not have.
    """

    def __init__(
        self,
        root: Path,
        channel_id: str,
        channel_name: str,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._root = root.absolute()
        self._folder = ChannelFolder(self._root, channel_id)
        self._channel_name = channel_name
        self._clock = clock

    async def owner(self) -> str:
        """The id of the channel whose folder this is; makes the folder."""
        return await asyncio.to_thread(self._owner)

    def _owner(self) -> str:
        with disk_trouble(f"opening the channel folder {self._folder.path}", self._clock()):
            return self._folder.open(self._channel_name)

    async def open_upload(self, draft: UploadDraft) -> str:
        """Start a session; sessions older than a week are forgotten on the way."""
        return await asyncio.to_thread(self._open_upload, draft)

    def _open_upload(self, draft: UploadDraft) -> str:
        now = self._clock()
        with disk_trouble(f"opening an upload in {self._folder.path}", now):
            self._folder.open(self._channel_name)
            for old in self._folder.sessions():
                if now - old.opened_at > SESSION_LIFE:
                    shutil.rmtree(self._folder.session(old.id), ignore_errors=True)
            session = Session(secrets.token_hex(12), secrets.token_hex(6), now, draft)
            self._folder.keep_session(session)
        return f"{_SCHEME}:{self._folder.channel_id}/{session.id}"

    async def send(self, session_uri: str, video: Path, *, progress: Progress) -> str | None:
        """Copy what is missing, chunk by chunk, and turn the whole into a private video."""
        session = await asyncio.to_thread(self._session, session_uri)
        if session is None:
            return None
        if video.stat().st_size != session.draft.size_bytes:
            raise Rejected(
                f"{video} has {video.stat().st_size} bytes, {session.draft.size_bytes} were"
                " announced to the host: it is not the file of this upload"
            )
        while True:
            sent = await asyncio.to_thread(self._append, session, video)
            progress(min(sent / max(session.draft.size_bytes, 1), 1.0))
            if sent >= session.draft.size_bytes:
                return await asyncio.to_thread(self._finish, session, video)

    def _session(self, session_uri: str) -> Session | None:
        scheme, _, rest = session_uri.partition(":")
        channel_id, _, session_id = rest.partition("/")
        if scheme != _SCHEME or channel_id != self._folder.channel_id:
            raise Rejected(
                f"the upload session belongs to {channel_id or 'another host'},"
                f" not to channel {self._folder.channel_id}"
            )
        with disk_trouble(f"resuming an upload in {self._folder.path}", self._clock()):
            return self._folder.find_session(session_id)

    def _append(self, session: Session, video: Path) -> int:
        """Add one chunk; the bytes that are there now. Two senders at once do no harm: each adds
        what follows the bytes that are there, and both have the same file."""
        place = self._folder.session(session.id)
        with disk_trouble(f"writing to {place}", self._clock()), locked(place / "lock"):
            if self._folder.find_video(session.video_id) is not None:
                return session.draft.size_bytes
            with (place / "data").open("ab") as data, video.open("rb") as source:
                source.seek(data.tell())
                data.write(source.read(CHUNK_BYTES))
                return data.tell()

    def _finish(self, session: Session, source: Path) -> str:
        """Check the whole, then make it a video; a repeat after a crash finds it half or all made.

        The same session always gives the same id.
        """
        place, home = self._folder.session(session.id), self._folder.video(session.video_id)
        trouble = disk_trouble(f"finishing an upload in {self._folder.path}", self._clock())
        with trouble, locked(place / "lock"):
            if self._folder.find_video(session.video_id) is not None:
                return session.video_id
            data, film = place / "data", home / "video.mp4"
            if data.exists():
                self._check(data, session, source)
                make_folder(home)
                data.replace(film)
                flush_folder(home)
            elif not film.exists():
                raise Transient(f"the upload of {session.draft.title!r} was ended meanwhile")
            self._folder.keep_video(Video.uploaded(session, self._clock()))
        return session.video_id

    def _check(self, data: Path, session: Session, source: Path) -> None:
        with data.open("rb") as stream:
            os.fsync(stream.fileno())
        if digest(data) == session.draft.sha256:
            return
        # Bytes that a power cut took, or a wrong file: start again, or never.
        os.truncate(data, 0)
        if digest(source) != session.draft.sha256:
            raise Rejected(f"{source} is not the file that was announced to the host: other hash")
        raise Transient(f"the upload of {session.draft.title!r} arrived damaged; it starts again")

    async def abandon(self, session_uri: str) -> EndedSession:
        """Forget the session and what came of it, unless it is a video by now."""
        session = await asyncio.to_thread(self._session, session_uri)
        if session is None:
            return EndedSession(known=False)
        return EndedSession(True, await asyncio.to_thread(self._abandon, session))

    def _abandon(self, session: Session) -> str | None:
        place = self._folder.session(session.id)
        with (
            disk_trouble(f"ending an upload in {self._folder.path}", self._clock()),
            locked(place / "lock"),
        ):
            if self._folder.find_video(session.video_id) is not None:
                return session.video_id
            shutil.rmtree(place)
        return None

    async def find(self, marker: str) -> str | None:
        """The id of the finished upload with this marker, the first if there are more."""
        return await asyncio.to_thread(self._find, marker)

    def _find(self, marker: str) -> str | None:
        with disk_trouble(f"reading {self._folder.path}", self._clock()):
            videos = sorted(self._folder.videos(), key=lambda video: video.uploaded_at)
        return next((video.id for video in videos if video.marker == marker), None)

    async def publish(
        self, video_id: str, visibility: Visibility, publish_at: datetime | None
    ) -> Publication:
        """Link the files under their human name, or keep the date at which that happens."""
        return await asyncio.to_thread(self._publish, video_id, visibility, publish_at)

    def _publish(
        self, video_id: str, visibility: Visibility, publish_at: datetime | None
    ) -> Publication:
        with self._changing(video_id) as video:
            video = self._released(video)
            later = publish_at is not None and publish_at > self._clock()
            if later and video.visibility is Visibility.PRIVATE:
                video = replace(video, publish_at=publish_at, scheduled=visibility)
                self._folder.keep_video(video)
            elif video.visibility is not visibility and not later:
                video = self._made(video, visibility, self._clock())
            write_page(self._root)
        return self._publication(video)

    def _released(self, video: Video) -> Video:
        """The video as it is by now: a date that has come makes it visible."""
        now = self._clock()
        if video.publish_at is None or video.scheduled is None or video.publish_at > now:
            return video
        return self._made(video, video.scheduled, video.publish_at)

    def _made(self, video: Video, visibility: Visibility, at: datetime) -> Video:
        """Give the video its visibility. Its name is kept before the first link, so that a repeat
        on another day does not publish it under a second name."""
        if video.name is None:
            video = replace(video, name=human_name(self._folder, video, at))
            self._folder.keep_video(video)
        visible = visibility is not Visibility.PRIVATE
        video = replace(
            video,
            visibility=visibility,
            published_at=(video.published_at or at) if visible else video.published_at,
            publish_at=None,
            scheduled=None,
        )
        if visible:
            self._folder.link(video)
            self._folder.keep_video(video)
        else:
            self._folder.keep_video(video)
            self._folder.unlink(video)
        return video

    def _publication(self, video: Video) -> Publication:
        film = self._folder.published / f"{video.name}.mp4"
        private = video.visibility is Visibility.PRIVATE
        home = self._folder.video(video.id) / "video.mp4"
        return Publication(
            video_id=video.id,
            url=(home if private else film).as_uri(),
            channel_id=self._folder.channel_id,
            visibility=video.visibility,
            published_at=None if private else video.published_at,
            path=None if private else str(film),
        )

    async def add_thumbnail(self, video_id: str, image: Path) -> None:
        """Set the picture the page shows."""
        await asyncio.to_thread(self._add, video_id, {"thumbnail.jpg": image})

    async def add_captions(self, video_id: str, captions: Path, language: str) -> None:
        """Set the captions of a language, as SubRip and as WebVTT."""
        if not language.replace("-", "").isalnum() or not language.isascii():
            raise Rejected(f"not a language tag: {language!r}")
        await asyncio.to_thread(self._add, video_id, {f"captions.{language}.srt": captions})

    def _add(self, video_id: str, files: dict[str, Path]) -> None:
        with self._changing(video_id) as video:
            home = self._folder.video(video_id)
            for name, source in files.items():
                copy_durably(source, home / name)
                if name.endswith(".srt"):
                    text = source.read_text(encoding="utf-8-sig")
                    write_durably((home / name).with_suffix(".vtt"), vtt_from_srt(text).encode())
            if video.visibility is not Visibility.PRIVATE:
                self._folder.link(video)
            write_page(self._root)

    async def add_to_playlist(self, video_id: str, playlist_id: str) -> None:
        """Keep the video in `playlists/<id>.json` of the channel, a list of ids."""
        await asyncio.to_thread(self._add_to_playlist, video_id, playlist_id)

    def _add_to_playlist(self, video_id: str, playlist_id: str) -> None:
        if not _PLAYLIST.fullmatch(playlist_id):
            raise Rejected(f"not a playlist's id: {playlist_id[:64]!r}")
        with self._changing(video_id):
            file = self._folder.path / "playlists" / f"{playlist_id}.json"
            make_folder(file.parent)
            listed = json.loads(file.read_bytes()) if file.exists() else []
            if video_id not in listed:
                write_durably(file, json.dumps([*listed, video_id]).encode())

    @contextlib.contextmanager
    def _changing(self, video_id: str) -> Iterator[Video]:
        """The video under the channel's lock, with disk trouble judged; `Rejected` without it."""
        what = f"changing video {video_id} in {self._folder.path}"
        with disk_trouble(what, self._clock()):
            if self._folder.find_video(video_id) is None:
                raise Rejected(f"{self._folder.path} has no video {video_id!r}")
            with locked(self._folder.path / "lock"):
                yield self._folder.get_video(video_id)

    async def inspect(self, video_id: str) -> HostedVideo:
        """How the video stands; one whose date has come is published by this."""
        return await asyncio.to_thread(self._inspect, video_id)

    def _inspect(self, video_id: str) -> HostedVideo:
        with self._changing(video_id) as video:
            released = self._released(video)
            if released != video:
                write_page(self._root)
        return HostedVideo(video_id, released.visibility, processed=True, problem=None)

    async def statistics(self, video_id: str) -> Statistics:
        """The counters in the video's `statistics.json`: views, likes and comments, 0 until set."""
        return await asyncio.to_thread(self._statistics, video_id)

    def _statistics(self, video_id: str) -> Statistics:
        with self._changing(video_id):
            file = self._folder.video(video_id) / "statistics.json"
            views, likes, comments = counters(file)
        return Statistics(video_id, self._clock(), views, likes, comments)
