"""The values of the line: frozen, without behaviour beyond what they are.

Times are seconds from the start of the film as floats, lengths are pixels, money is `Decimal` US
dollars to the micro-dollar. Every datetime is aware.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class StageName(StrEnum):
    """The six stages, in the order of the line."""

    TREND_PICK = "trend_pick"
    SCRIPT = "script"
    VOICE = "voice"
    RENDER = "render"
    UPLOAD = "upload"
    ANALYTICS_PULL = "analytics_pull"


class ExecutionStatus(StrEnum):
    """Where a run stands; the last four are ends."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in _ENDS


_ENDS = frozenset(
    {
        ExecutionStatus.SUCCESS,
        ExecutionStatus.FAILED,
        ExecutionStatus.TIMEOUT,
        ExecutionStatus.CANCELLED,
    }
)


class StepStatus(StrEnum):
    """Where one stage of a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Visibility(StrEnum):
    """Who may see a published video."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE = "private"


class SectionKind(StrEnum):
    """What a section of the script is for."""

    HOOK = "hook"
    BODY = "body"
    OUTRO = "outro"


class ArtifactKind(StrEnum):
    """What a stored file is."""

    SCRIPT = "script"
    NARRATION = "narration"
    CAPTIONS = "captions"
    SCENE = "scene"
    VIDEO = "video"
    THUMBNAIL = "thumbnail"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Topic:
    """What a video may be about: a subject and the facts the script may state.

    `language` is a BCP 47 tag. `source_url` is where the facts can be checked.
    """

    topic: str
    facts: tuple[str, ...] = ()
    source_url: str | None = None
    niche: str | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a source tells about the interest in a topic; None where it does not say.

    `audience` counts people or requests, `votes` and `comments` are the source's own, `coverage` is
    how many publishers are known to be at it, `age_hours` counts from its first appearance, and
    `place` is its place in the source's list: 0 the first, 1 the last.
    """

    audience: int | None = None
    votes: int | None = None
    comments: int | None = None
    coverage: int | None = None
    age_hours: float | None = None
    place: float | None = None


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as a source offers it. `fact_urls` tells where each fact was read."""

    topic: Topic
    demand: Demand = field(default_factory=Demand)
    fact_urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trend:
    """A stored topic with its scores, each in 0..1; `opportunity` orders the choice."""

    id: UUID
    topic: Topic
    source: str
    opportunity: float
    first_detected: datetime


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """A frame in pixels (both even) and whole frames a second."""

    width: int = 1920
    height: int = 1080
    fps: int = 30

    @property
    def vertical(self) -> bool:
        return self.height > self.width


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as the stages see it."""

    id: UUID
    name: str
    youtube_channel_id: str | None
    niche: str | None = None
    language: str = "en"
    timezone: str = "UTC"
    category_id: str = "27"  # YouTube's "Education"
    playlist_id: str | None = None
    visibility: Visibility = Visibility.PUBLIC
    auto_publish: bool = True
    format: VideoFormat = field(default_factory=VideoFormat)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One spoken sentence; `fact` is the index in the topic's facts it rests on, None for glue."""

    text: str
    fact: int | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the film, one scene of it. `heading` is shown, the sentences are spoken."""

    kind: SectionKind
    heading: str
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """The spoken text: its words are `text.split()`, and captions show exactly those."""
        return " ".join(sentence.text for sentence in self.sentences)


@dataclass(frozen=True, slots=True)
class Script:
    """What is said and what is written around it, within YouTube's limits for metadata."""

    title: str
    description: str
    tags: tuple[str, ...]
    thumbnail_text: str
    language: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a section's `text.split()`, punctuation included, and when it is spoken."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Speech:
    """One spoken text: a mono 16-bit PCM WAV file and the words in it, timed within that file."""

    audio: Path
    words: tuple[Word, ...]
    duration: float


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored, immutable file. `url` is its address in the artifact store."""

    kind: ArtifactKind
    sha256: str
    size_bytes: int
    media_type: str
    url: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SectionSpeech:
    """A section's words, timed in the whole narration, and when the section is on screen."""

    start: float
    end: float
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Narration:
    """The narration of a script: `sections` matches the script's one for one, without gaps."""

    audio: Artifact
    voice: str
    duration: float
    sections: tuple[SectionSpeech, ...]


@dataclass(frozen=True, slots=True)
class SceneFootage:
    """A local clip or still for one section, decoded once and found sound.

    `duration` is in seconds, 0 for a still; a clip shorter than its section is looped or held, its
    sound is not used. `focus` is the point that a crop keeps in view, as parts of width and height
    from the upper left. `sha256` is the file's, for whoever keeps what was drawn from it.
    """

    path: Path
    sha256: str
    is_video: bool
    duration: float
    width: int
    height: int
    focus: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Film:
    """Everything a renderer needs to draw and mix one video.

    `audio` is the narration as a local WAV file. `seed` decides what is left to chance in the look,
    so that the same film renders to the same frames. `footage` is empty or matches the sections one
    for one; a section without footage has a generated background.
    """

    script: Script
    sections: tuple[SectionSpeech, ...]
    audio: Path
    duration: float
    format: VideoFormat
    channel_name: str
    seed: int
    footage: tuple[SceneFootage | None, ...] = ()


@dataclass(frozen=True, slots=True)
class FootageCredit:
    """Where an asset came from and under which licence: kept for claims, shown in descriptions."""

    provider: str
    asset_id: str
    page_url: str | None
    author: str | None
    licence: str | None
    fetched_at: datetime

    @property
    def key(self) -> str:
        """The asset's name among those of all providers."""
        return f"{self.provider}:{self.asset_id}"


@dataclass(frozen=True, slots=True)
class RenderedFiles:
    """What a renderer leaves in its folder. `thumbnail` is a JPEG of 1280x720."""

    video: Path
    thumbnail: Path
    srt: Path
    vtt: Path
    duration: float


@dataclass(frozen=True, slots=True)
class Cut:
    """A rendered video with its companions, stored. `credits` are those of its footage, once."""

    video: Artifact
    thumbnail: Artifact
    srt: Artifact
    vtt: Artifact
    duration: float
    format: VideoFormat
    credits: tuple[FootageCredit, ...] = ()


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters of a video since its publication, as of `at`."""

    video_id: str
    at: datetime
    views: int
    likes: int
    comments: int


@dataclass(frozen=True, slots=True)
class Charge:
    """One vendor charge, in the vendor's own units; embedded providers charge 0 dollars.

    `shard` tells the calls of one stage and operation apart, so that a repeat of the stage books
    the same call under the same key. `call_id` is the call's in the ledger, which books it under
    that; None for what is not in the ledger.
    """

    service: str
    operation: str
    amount: Decimal
    units: Decimal
    unit_type: str
    rate: Decimal | None = None
    request_id: str | None = None
    response_time_ms: int | None = None
    shard: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    call_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Paid(Generic[T]):
    """What a port that may cost money answers: the value and each call's charge, in order.

    Their `shard`s are distinct within an operation: 0, 1, ... in the order of the calls.
    """

    value: T
    charges: tuple[Charge, ...]
