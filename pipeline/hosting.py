"""What a host is told and tells: uploads, publications, and what a refusal means for an account."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pipeline.domain import Visibility


@dataclass(frozen=True, slots=True)
class UploadDraft:
    """What a host is told about a video before its first byte. Every upload starts private.

    `marker` is a token of ours (`yte-...`), last line of the description and a tag, by which an
    upload whose answer was lost is found again.
    """

    title: str
    description: str
    tags: tuple[str, ...]
    language: str
    category_id: str
    made_for_kids: bool
    synthetic_media: bool
    marker: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """What is durably known of an upload attempt; `fresh` means nothing was sent for it yet."""

    marker: str
    fresh: bool
    session_uri: str | None
    video_id: str | None


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that takes nothing more. `known` is False when the host had forgotten it, so that
    it cannot tell whether it ended as a video; `video_id` is that video."""

    known: bool
    video_id: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A video at its host. `path` is set by hosts that are folders."""

    video_id: str
    url: str
    channel_id: str
    visibility: Visibility
    published_at: datetime | None
    path: str | None = None


class ExtraName(StrEnum):
    """What goes with a published video, in the order in which it is added."""

    THUMBNAIL = "thumbnail"
    CAPTIONS = "captions"
    PLAYLIST = "playlist"


class ExtraStatus(StrEnum):
    """How far an extra is; a waiting one goes on by itself."""

    WAITS = "waits"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Extra:
    """One extra of a video and what became of it.

    `reason` is why it was refused or waits, None for one that was never tried. A waiting one is not
    tried before `until`. `tries` counts those that brought nothing.
    """

    name: ExtraName
    status: ExtraStatus = ExtraStatus.WAITS
    reason: str | None = None
    until: datetime | None = None
    tries: int = 0


class AccountEffect(StrEnum):
    """What a host's refusal means for the account that was refused."""

    HICCUP = "transient_error"
    COOL = "cooled"
    BENCH = "project_benched"
    REAUTHORISE = "needs_reauth"
    DISABLE = "disabled"
    SUSPEND = "suspended"
    DOUBT = "refused"
    CONFIGURE = "misconfigured"


@dataclass(frozen=True, slots=True)
class AccountTrouble:
    """What a host said about an account, beside what it said about the work.

    `until` is when the account may serve again by itself, None: not before a person acts (or, for
    `DOUBT`, at once). `rotate`: another account of the channel may do the same work now.
    """

    account_id: UUID
    effect: AccountEffect
    reason: str
    until: datetime | None = None
    rotate: bool = False


@dataclass(frozen=True, slots=True)
class HostedVideo:
    """What a host says about a video when asked: where it stands and who may see it.

    `problem` is the host's own reason when it rejected or failed the video, else None; `trouble` is
    what that reason says about the account.
    """

    video_id: str
    visibility: Visibility
    processed: bool
    problem: str | None
    trouble: AccountTrouble | None = None
