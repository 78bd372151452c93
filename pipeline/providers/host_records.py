"""What the local host keeps: a channel's folder with its sessions and videos, as JSON files.

Every file is replaced whole and flushed, so that a reader never sees half of one.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import time
import unicodedata
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.domain import Visibility
from pipeline.errors import Rejected, Transient
from pipeline.hosting import UploadDraft
from pipeline.providers.durable import copy_durably, flush_folder, make_folder, write_durably

T = TypeVar("T")

LOCK_TIMEOUT_SECONDS = 60.0
NAME_BYTES = 80
_CHANNEL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[0-9a-f]{12,24}")


@dataclass(frozen=True, slots=True)
class Session:
    """An upload under way; `video_id` is settled before the first byte."""

    id: str
    video_id: str
    opened_at: datetime
    draft: UploadDraft


@dataclass(frozen=True, slots=True)
class Video:
    """A finished upload. `name` is its human name, kept from the first publication on;
    `scheduled` is the visibility that `publish_at` brings."""

    id: str
    marker: str
    title: str
    description: str
    tags: tuple[str, ...]
    language: str
    sha256: str
    uploaded_at: datetime
    visibility: Visibility = Visibility.PRIVATE
    published_at: datetime | None = None
    publish_at: datetime | None = None
    scheduled: Visibility | None = None
    name: str | None = None

    @classmethod
    def uploaded(cls, session: Session, at: datetime) -> "Video":
        """The private video that a finished session becomes."""
        draft = session.draft
        return cls(
            id=session.video_id,
            marker=draft.marker,
            title=draft.title,
            description=draft.description,
            tags=draft.tags,
            language=draft.language,
            sha256=draft.sha256,
            uploaded_at=at,
        )


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose folder it is."""

    channel_id: str
    name: str


_SESSION = TypeAdapter(Session)
_VIDEO = TypeAdapter(Video)
_OWNER = TypeAdapter(Owner)


class ChannelFolder:
    """The folder of one channel below the host's root."""

    def __init__(self, root: Path, channel_id: str) -> None:
        if not _CHANNEL_ID.fullmatch(channel_id):
            raise Rejected(
                f"{channel_id!r} cannot be a channel of the local host: letters, digits, - and _"
            )
        self.channel_id = channel_id
        self.path = root / channel_id
        self.published = self.path / "published"

    def open(self, name: str) -> str:
        """Make the folder, keep the channel's name, answer whose it is."""
        for folder in (self.path / "sessions", self.path / "videos", self.published):
            make_folder(folder)
        file = self.path / "channel.json"
        owner = _read(_OWNER, file)
        if owner is None or owner.name != name:
            owner = Owner(owner.channel_id if owner else self.channel_id, name)
            write_durably(file, _OWNER.dump_json(owner, indent=2))
        return owner.channel_id

    @property
    def owner(self) -> Owner | None:
        return _read(_OWNER, self.path / "channel.json")

    def session(self, session_id: str) -> Path:
        return self.path / "sessions" / session_id

    def video(self, video_id: str) -> Path:
        return self.path / "videos" / video_id

    def keep_session(self, session: Session) -> None:
        make_folder(self.session(session.id))
        write_durably(self.session(session.id) / "session.json", _SESSION.dump_json(session))

    def find_session(self, session_id: str) -> Session | None:
        if not _KEY.fullmatch(session_id):
            return None
        return _read(_SESSION, self.session(session_id) / "session.json")

    def sessions(self) -> Iterator[Session]:
        for folder in sorted((self.path / "sessions").iterdir()):
            if (found := self.find_session(folder.name)) is not None:
                yield found

    def keep_video(self, video: Video) -> None:
        make_folder(self.video(video.id))
        write_durably(self.video(video.id) / "video.json", _VIDEO.dump_json(video, indent=2))

    def find_video(self, video_id: str) -> Video | None:
        """The video, None for an id that is unknown or could not be one."""
        if not _KEY.fullmatch(video_id):
            return None
        return _read(_VIDEO, self.video(video_id) / "video.json")

    def get_video(self, video_id: str) -> Video:
        """The video, which was there a moment ago."""
        found = self.find_video(video_id)
        if found is None:
            raise Rejected(f"video {video_id!r} was removed from {self.path}")
        return found

    def videos(self) -> Iterator[Video]:
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted((self.path / "videos").iterdir()):
                if (found := self.find_video(folder.name)) is not None:
                    yield found

    def public_files(self, video: Video) -> dict[str, Path]:
        """The files of a video by their name below `published/`."""
        home = self.video(video.id)
        files = {f"{video.name}.mp4": home / "video.mp4"}
        if (home / "thumbnail.jpg").exists():
            files[f"{video.name}.jpg"] = home / "thumbnail.jpg"
        for track in sorted(home.glob("captions.*.*")):
            _, language, kind = track.name.split(".")
            own = language == video.language
            files[f"{video.name}.{kind}" if own else f"{video.name}.{language}.{kind}"] = track
        return files

    def link(self, video: Video) -> None:
        """Show the video's files under its name; what is shown already is left as it is.

        The caller holds the channel's lock: what is half-made here is a dead process's.
        """
        for abandoned in self.published.glob(".*.tmp"):
            abandoned.unlink()
        for name, source in self.public_files(video).items():
            _show(source, self.published / name)
        flush_folder(self.published)

    def unlink(self, video: Video) -> None:
        """Take the video's files out of `published/`."""
        for name in self.public_files(video):
            (self.published / name).unlink(missing_ok=True)
        flush_folder(self.published)


def _show(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    beside = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        beside.hardlink_to(source)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK}:
            raise
        copy_durably(source, target)  # a file system without links
        return
    beside.replace(target)


def _read(adapter: TypeAdapter[T], file: Path) -> T | None:
    try:
        return adapter.validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise Rejected(f"{file} was changed and cannot be read: {error}") from error


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of this file; the kernel releases it when the process dies.

    Raises `Transient` when another process holds it for a minute.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        give_up = time.monotonic() + LOCK_TIMEOUT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > give_up:
                    raise Transient(
                        f"another process has held {file} for {LOCK_TIMEOUT_SECONDS:.0f} s"
                    ) from error
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def slug(title: str) -> str:
    """The title in small ASCII letters, digits and dashes; empty when nothing of it is left."""
    folded = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", folded.replace("'", "")))


def human_name(folder: ChannelFolder, video: Video, at: datetime) -> str:
    """`<date>-<slug>`, at most 80 bytes; with a part of the id when taken or empty."""
    date, tail = f"{at:%Y-%m-%d}", video.id[:6]
    words = slug(video.title)[: NAME_BYTES - len(date) - len(tail) - 2].rstrip("-")
    name = f"{date}-{words}"
    taken = {other.name for other in folder.videos() if other.id != video.id}
    if len(words) < 3 or name in taken:
        name = f"{date}-{words or 'video'}-{tail}"
    return name


def vtt_from_srt(srt: str) -> str:
    """SubRip as WebVTT: the same cues, with markup made harmless."""
    lines = []
    for line in srt.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if re.fullmatch(r"\s*[\d:,]+\s*-->\s*[\d:,]+\s*", line):
            lines.append(line.replace(",", "."))
        else:
            escaped = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            lines.append(escaped)
    return "WEBVTT\n\n" + "\n".join(lines).strip("\n") + "\n"


def counters(file: Path) -> tuple[int, int, int]:
    """Views, likes and comments from the file; zeros where there is none."""
    try:
        found = json.loads(file.read_bytes())
        numbers = [found.get(name, 0) for name in ("views", "likes", "comments")]
    except FileNotFoundError:
        return 0, 0, 0
    except (ValueError, AttributeError) as error:
        raise Rejected(f"{file} is not an object of counters: {error}") from error
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise Rejected(f"{file} holds something else than counts: {numbers}")
    return numbers[0], numbers[1], numbers[2]
