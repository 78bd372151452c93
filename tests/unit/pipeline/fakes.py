"""Stand-ins for our own ports, with the semantics that the ports promise."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from pipeline.domain import (
    Artifact,
    ArtifactKind,
    Channel,
    Charge,
    Cut,
    Paid,
    Script,
    Section,
    SectionKind,
    Sentence,
    Speech,
    Statistics,
    Topic,
    VideoFormat,
    Visibility,
    Word,
)
from pipeline.hosting import HostedVideo, Publication, UploadDraft, UploadRecord
from pipeline.ports import Progress

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CHANNEL = Channel(UUID(int=7), "Small Wonders", "UC_own")
CHARGE = Charge("fake", "call", Decimal(0), Decimal(1), "calls")
TOPIC = Topic("The Moon", ("The Moon has no air.", "It drifts away."), "https://e.org/m", "space")
SCRIPT = Script(
    title="The Moon",
    description="About the Moon.",
    tags=("moon",),
    thumbnail_text="The Moon",
    language="en",
    sections=(
        Section(SectionKind.HOOK, "The Moon", (Sentence("The Moon has no air.", 0),)),
        Section(SectionKind.BODY, "Drifting", (Sentence("Look:"), Sentence("It drifts.", 1))),
        Section(SectionKind.OUTRO, "Bye", (Sentence("See you."),)),
    ),
)


def artifact(kind: ArtifactKind, name: str) -> Artifact:
    return Artifact(kind, name.ljust(64, "0"), 10, "application/octet-stream", f"file:///{name}")


CUT = Cut(
    artifact(ArtifactKind.VIDEO, "a"),
    artifact(ArtifactKind.THUMBNAIL, "b"),
    artifact(ArtifactKind.CAPTIONS, "c"),
    artifact(ArtifactKind.CAPTIONS, "d"),
    30.0,
    VideoFormat(),
)


@dataclass
class FakeWriter:
    script: Script

    async def write(
        self, topic: Topic, channel: Channel, *, notes: Sequence[str] = ()
    ) -> Paid[Script]:
        return Paid(self.script, (CHARGE,))


@dataclass
class ToneNarrator:
    """Each word is a tenth of a second of one loud level, then a tenth of silence."""

    rate: int = 1000
    voice: str = "tone"
    spoken: list[str] = field(default_factory=list)

    async def speak(self, text: str, *, language: str, into: Path) -> Paid[Speech]:
        self.spoken.append(text)
        step = self.rate // 10
        words = text.split()
        with wave.open(str(into), "wb") as recording:
            recording.setnchannels(1)
            recording.setsampwidth(2)
            recording.setframerate(self.rate)
            for _ in words:
                recording.writeframes(b"\x00\x40" * step + bytes(2 * step))
        timed = tuple(Word(word, i / 5, i / 5 + 0.1) for i, word in enumerate(words))
        return Paid(Speech(into, timed, len(words) / 5), (CHARGE,))


@dataclass
class FolderStore:
    """Knows artifacts by url; `missing` ones raise what they are told to."""

    put_files: list[bytes] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    async def put(
        self, file: Path, *, folder: str, kind: ArtifactKind, media_type: str
    ) -> Artifact:
        self.put_files.append(file.read_bytes())
        return Artifact(kind, "0" * 64, file.stat().st_size, media_type, f"file:///{folder}/x")

    async def fetch(self, artifact: Artifact, *, folder: Path) -> Path:
        self.fetched.append(artifact.url)
        return folder / artifact.url.rsplit("/", 1)[-1]


@dataclass
class FakeHost:
    """A host that can lose sessions and answers, and keeps a log of what was asked of it."""

    log: list[str]
    channel_id: str = "UC_own"
    published_on: str = "UC_own"
    lost_sessions: set[str] = field(default_factory=set)
    uploads: dict[str, str] = field(default_factory=dict)  # marker -> video id
    drafts: list[UploadDraft] = field(default_factory=list)
    visible: dict[str, Visibility] = field(default_factory=dict)
    refusals: dict[str, Exception] = field(default_factory=dict)  # of the extras, by name
    processed: bool = True
    problem: str | None = None

    async def owner(self) -> str:
        self.log.append("owner")
        return self.channel_id

    async def open_upload(self, draft: UploadDraft) -> str:
        self.log.append("open")
        self.drafts.append(draft)
        return f"session-{len(self.drafts)}"

    async def send(self, session_uri: str, video: Path, *, progress: Progress) -> str | None:
        self.log.append(f"send {session_uri}")
        if session_uri in self.lost_sessions:
            return None
        progress(1.0)
        video_id = f"video-of-{session_uri}"
        if self.drafts:
            self.uploads[self.drafts[-1].marker] = video_id
        return video_id

    async def find(self, marker: str) -> str | None:
        self.log.append("find")
        return self.uploads.get(marker)

    async def publish(
        self, video_id: str, visibility: Visibility, publish_at: datetime | None
    ) -> Publication:
        self.log.append(f"publish {video_id}")
        self.visible[video_id] = visibility
        return Publication(video_id, f"https://v/{video_id}", self.published_on, visibility, NOW)

    async def add_thumbnail(self, video_id: str, image: Path) -> None:
        self._extra("thumbnail")

    async def add_captions(self, video_id: str, captions: Path, language: str) -> None:
        self._extra("captions", language)

    async def add_to_playlist(self, video_id: str, playlist_id: str) -> None:
        self._extra("playlist", playlist_id)

    def _extra(self, name: str, *what: str) -> None:
        self.log.append(" ".join((name, *what)))
        if name in self.refusals:
            raise self.refusals[name]

    async def inspect(self, video_id: str) -> HostedVideo:
        self.log.append("inspect")
        return HostedVideo(video_id, Visibility.PUBLIC, self.processed, self.problem)

    async def statistics(self, video_id: str) -> Statistics:
        return Statistics(video_id, NOW, 0, 0, 0)


@dataclass
class FakeJournal:
    log: list[str]
    record: UploadRecord = UploadRecord("yte-abc", True, None, None)  # noqa: RUF009 - frozen

    async def begin(self, sha256: str, size_bytes: int) -> UploadRecord:
        self.log.append("begin")
        return self.record

    async def session_opened(self, session_uri: str) -> None:
        self.log.append("kept session")
        self.record = replace(self.record, fresh=False, session_uri=session_uri)

    async def uploaded(self, video_id: str) -> None:
        self.log.append("kept video")
        self.record = replace(self.record, fresh=False, video_id=video_id)

    async def published(self, publication: Publication) -> None:
        self.log.append("kept publication")


@dataclass
class FakeStatistics:
    hosted: HostedVideo

    async def inspect(self, video_id: str) -> HostedVideo:
        return self.hosted

    async def statistics(self, video_id: str) -> Statistics:
        return Statistics(video_id, NOW, 5, 2, 1)
