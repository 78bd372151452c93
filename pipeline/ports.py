"""One Protocol per outside capability, in our words; adapters live in `pipeline.providers`.

Every method may raise the errors of `pipeline.errors`; what else a method promises stands in its
docstring. Adapters translate their vendor's errors at their edge and do not inherit from a port:
`workers.runtime` is where mypy compares them.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from pipeline.calls import Absence, Answered, CallRequest, Note, RawAnswer, SoughtCall, Verdict
from pipeline.domain import (
    Artifact,
    ArtifactKind,
    Channel,
    Film,
    FoundTopic,
    Paid,
    RenderedFiles,
    Script,
    Speech,
    Statistics,
    Topic,
    Visibility,
)
from pipeline.footage import FootageWish, FoundFootage
from pipeline.hosting import EndedSession, HostedVideo, Publication, UploadDraft, UploadRecord
from pipeline.storing import StoredFile

Progress = Callable[[float], None]
"""Called now and then with the part that is done, 0..1; cheap and never raises."""


class TrendSource(Protocol):
    """Where topics come from."""

    @property
    def name(self) -> str:
        """The source as stored with a trend: one of the values of `trends.source`."""
        ...

    async def topics(self) -> tuple[FoundTopic, ...]:
        """Read all topics the source offers now, no topic twice; its own order. Changes nothing.

        A single item that cannot be used is left out. Raises `Transient` for a source that is away
        or answers garbage, `Rejected` for one that sends what no honest source sends.
        """
        ...


class ScriptWriter(Protocol):
    """Turns a topic and its facts into a script."""

    async def write(
        self, topic: Topic, channel: Channel, *, notes: Sequence[str] = ()
    ) -> Paid[Script]:
        """Write one script; every sentence that states something names the fact it rests on.

        `notes` say why earlier scripts of this run were turned down, oldest first: the new one is
        another than without them.
        """
        ...


class Narrator(Protocol):
    """Speaks text and says when each word is heard."""

    async def speak(self, text: str, *, language: str, into: Path) -> Paid[Speech]:
        """Speak `text` into the WAV file `into`.

        The words answered are exactly `text.split()`, in order, without overlap, within the
        duration. Raises `Rejected` for a text without anything to say or a language it lacks.
        """
        ...

    @property
    def voice(self) -> str:
        """The name of the voice, as stored with a narration."""
        ...


class PaidCall(Protocol):
    """One call to a vendor that costs money: what it sends, how it is made, what came of it."""

    @property
    def request(self) -> CallRequest:
        """What the call sends; two calls with equal requests are the same call."""
        ...

    async def send(self, call_id: UUID, note: Note) -> RawAnswer:
        """Make the call, once, marked with `call_id` where the vendor lets us.

        `note` is awaited when the vendor names the call before its answer is there. Raises
        `Ambiguous` when the work may have been done; any other error says that it was not.
        """
        ...

    async def find(self, sought: SoughtCall) -> RawAnswer | Absence:
        """The answer to this very request that the vendor keeps, as `send` would have given it.

        Costs nothing. Raises what a vendor that is away or refuses the key leads to.
        """
        ...

    def judge(self, answer: RawAnswer) -> Verdict:
        """What the answer costs, before anything else is made of it; pure, the same every time.

        Raises a `StageError` for what did not come from the vendor: nothing was charged.
        """
        ...


class CallLedger(Protocol):
    """Where calls that cost money are kept, so that none is paid twice knowingly."""

    async def make(self, call: PaidCall) -> Answered:
        """The answer of this call: of an earlier attempt if there is one, else by sending it.

        The charge is booked when this returns. Raises `Deferred` while nobody knows what became of
        an earlier attempt and while the vendor or the budget is shut, `Waiting` when a person must
        find out, `LostClaim` when the step belongs to another worker, and what `send` and `judge`
        raise.
        """
        ...


class Footage(Protocol):
    """Pictures for a scene: clips and stills with their origin."""

    async def find(self, wish: FootageWish, *, used: Collection[str]) -> FoundFootage | None:
        """The best asset for the wish whose credit's key is not in `used`, on this disk, verified.

        None when nothing fits; the scene then has a generated background. A repeat within a day
        asks and downloads nothing again. An asset that turns out broken is passed over. Raises
        `Transient` when the provider is away, `Deferred` when it asks for rest, `Waiting` when it
        refuses the key.
        """
        ...


class Renderer(Protocol):
    """Draws and mixes a film."""

    async def render(self, film: Film, *, folder: Path, progress: Progress) -> RenderedFiles:
        """Write video, thumbnail and captions into `folder`.

        A repeat with the same film in the same folder goes on from what is finished there.
        Cancelling it kills every process it started.
        """
        ...


class VideoHost(Protocol):
    """Where videos are published, seen through one account's credential.

    A video is uploaded private and becomes visible by a second, idempotent step, so that whatever
    happens in between, nothing is public twice.
    """

    async def owner(self) -> str:
        """The id of the channel that the credential belongs to."""
        ...

    async def open_upload(self, draft: UploadDraft) -> str:
        """Announce an upload: the address of a session that any process may `send` to."""
        ...

    async def send(self, session_uri: str, video: Path, *, progress: Progress) -> str | None:
        """Send what the session still lacks; the id of the video, private until `publish`.

        None when the host no longer knows the session: the upload may have ended or not.
        """
        ...

    async def abandon(self, session_uri: str) -> EndedSession:
        """End a session: it takes nothing more, and what was sent is forgotten unless it was all.

        A repeat changes nothing.
        """
        ...

    async def find(self, marker: str) -> str | None:
        """The id of the video in the channel's uploads that carries the marker."""
        ...

    async def publish(
        self, video_id: str, visibility: Visibility, publish_at: datetime | None
    ) -> Publication:
        """Give this video its visibility, now or at `publish_at`; a repeat changes nothing."""
        ...


class UploadJournal(Protocol):
    """What must be durable in the middle of an upload; each method commits under the step's fence.

    Raises `LostClaim` when the step belongs to another worker.
    """

    async def begin(self, sha256: str, size_bytes: int) -> UploadRecord:
        """The live attempt for this video, or a new one with a marker of its own."""
        ...

    async def session_opened(self, session_uri: str) -> None:
        """Keep the session's address, before the first byte is sent."""
        ...

    async def uploaded(self, video_id: str) -> None:
        """Keep the id that the host gave; from here on nothing is inserted for this video."""
        ...

    async def published(self, publication: Publication) -> None:
        """Keep that the video has its visibility; from here on nothing can make it fail."""
        ...


class VideoStatistics(Protocol):
    """What became of a published video."""

    async def inspect(self, video_id: str) -> HostedVideo:
        """Processing and visibility as the host has them; `Rejected` for an unknown id."""
        ...

    async def statistics(self, video_id: str) -> Statistics:
        """The counters as of now."""
        ...


class ExtrasHost(Protocol):
    """What goes with a published video."""

    async def inspect(self, video_id: str) -> HostedVideo:
        """See `VideoStatistics`."""
        ...

    async def add_thumbnail(self, video_id: str, image: Path) -> None:
        """Set the thumbnail; a repeat replaces it."""
        ...

    async def add_captions(self, video_id: str, captions: Path, language: str) -> None:
        """Set the caption track (SubRip) of a language; a repeat changes nothing."""
        ...

    async def add_to_playlist(self, video_id: str, playlist_id: str) -> None:
        """Add the video to a playlist of the channel; a repeat changes nothing."""
        ...


class Host(VideoHost, ExtrasHost, VideoStatistics, Protocol):
    """A host seen through one account: it takes videos and tells what became of them."""


class ArtifactStore(Protocol):
    """Immutable files by content: on disk or in a bucket."""

    async def put(
        self, file: Path, *, folder: str, kind: ArtifactKind, media_type: str
    ) -> Artifact:
        """Store a file below `folder`, durably, under a name made of its kind and content.

        The same content again is the same artifact and is not written again.
        """
        ...

    async def fetch(self, artifact: Artifact, *, folder: Path) -> Path:
        """A local file with the artifact's content, hash checked; below `folder` when it is copied.

        Raises `Rejected` when the content does not match its hash, `Transient` when it is away.
        """
        ...

    def read(self, artifact: Artifact, *, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces; the hash is not checked.

        Raises `Rejected` for an address outside the store, `Transient` when the artifact is away or
        ends early: before the first piece where that can be known.
        """
        ...

    def list_files(self, folder: str) -> AsyncIterator[StoredFile]:
        """All files below `folder`, those that writers left half written too; in no order.

        Raises `Transient` when the store is away.
        """
        ...

    async def remove(self, url: str) -> None:
        """Remove a file that `list_files` gave; a repeat changes nothing."""
        ...
