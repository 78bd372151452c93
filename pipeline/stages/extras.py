"""What goes with a published video: thumbnail, captions, playlist. None of them can fail it.

Each is tried by itself and ends as done or refused, or waits: for quota, for the host's processing,
for the account, for better weather. What waits is tried again later, through the same function.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipeline.domain import Channel, Cut
from pipeline.errors import Deferred, LostClaim, Rejected, StageError, Transient, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble, Extra, ExtraName, ExtraStatus
from pipeline.ports import ArtifactStore, ExtrasHost

# A vertical film up to this long is a Short. YouTube takes its thumbnail only once it is processed.
SHORT_SECONDS = 180.0
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
# With these pauses a week and more of trying; a month where each try waits for a day's quota.
TRIES = 32

_VALUES = TypeAdapter(tuple[Extra, ...])


@dataclass(frozen=True, slots=True)
class Dressed:
    """What became of the extras; `troubles` are about the account, `bugs` nobody expected."""

    extras: tuple[Extra, ...]
    troubles: tuple[tuple[AccountTrouble, str], ...] = ()
    bugs: tuple[Exception, ...] = ()


def extras_of(channel: Channel) -> tuple[Extra, ...]:
    """What a video of the channel is to have, nothing of it tried yet."""
    playlist = () if channel.playlist_id is None else (Extra(ExtraName.PLAYLIST),)
    return (Extra(ExtraName.THUMBNAIL), Extra(ExtraName.CAPTIONS), *playlist)


def extras_from(value: Any) -> tuple[Extra, ...]:
    """The extras as a step's output holds them."""
    return _VALUES.validate_python(value)


def values_of(extras: tuple[Extra, ...]) -> Any:
    """The extras as a step's output is to hold them."""
    return _VALUES.dump_python(extras, mode="json")


def waiting(extras: Sequence[Extra]) -> tuple[Extra, ...]:
    """Those that are to be tried again."""
    return tuple(extra for extra in extras if extra.status is ExtraStatus.WAITS)


async def dress(
    extras: Sequence[Extra],
    video_id: str,
    cut: Cut,
    *,
    language: str,
    channel: Channel,
    host: ExtrasHost,
    store: ArtifactStore,
    scratch: Path,
    now: datetime,
) -> Dressed:
    """Try each extra that waits and is due; the same extras, with what became of them.

    A repeat after a crash is harmless: the host replaces the thumbnail and knows the rest. Once the
    account is in trouble nothing more is sent with it. Raises `LostClaim` alone.
    """
    done: list[Extra] = []
    troubles: list[tuple[AccountTrouble, str]] = []
    bugs: list[Exception] = []
    blocked: StageError | None = None
    for extra in extras:
        if extra.status is not ExtraStatus.WAITS or (extra.until and extra.until > now):
            done.append(extra)
            continue
        try:
            if blocked is not None:
                raise blocked
            await _add(extra.name, video_id, cut, language, channel, host, store, scratch)
        except LostClaim:
            raise
        except StageError as error:
            done.append(_after(extra, error, now))
            # What is refused here for no stated reason says nothing against the account's uploads:
            # custom thumbnails, for one, are for verified channels only.
            trouble = error.trouble
            if blocked is None and trouble and trouble.effect is not AccountEffect.DOUBT:
                troubles.append((trouble, str(error)))
                blocked = error if isinstance(error, Deferred | Waiting) else None
        except Exception as error:  # a bug of ours is no reason to fail what everybody can see
            bugs.append(error)
            done.append(_later(extra, f"{type(error).__name__}: {error}", now))
        else:
            done.append(replace(extra, status=ExtraStatus.DONE, reason=None, until=None))
    return Dressed(tuple(done), tuple(troubles), tuple(bugs))


def put_off(extras: Sequence[Extra], reason: str, until: datetime | None, now: datetime) -> Dressed:
    """The same extras when the account cannot serve now: all that wait, wait on."""
    return Dressed(
        tuple(
            _later(extra, reason, now, until) if extra.status is ExtraStatus.WAITS else extra
            for extra in extras
        )
    )


async def _add(
    name: ExtraName,
    video_id: str,
    cut: Cut,
    language: str,
    channel: Channel,
    host: ExtrasHost,
    store: ArtifactStore,
    scratch: Path,
) -> None:
    match name:
        case ExtraName.THUMBNAIL:
            if cut.format.vertical and cut.duration <= SHORT_SECONDS:
                await _require_processed(video_id, host)
            await host.add_thumbnail(video_id, await store.fetch(cut.thumbnail, folder=scratch))
        case ExtraName.CAPTIONS:
            captions = await store.fetch(cut.srt, folder=scratch)
            await host.add_captions(video_id, captions, language)
        case ExtraName.PLAYLIST:
            if channel.playlist_id is None:
                raise Rejected(f"channel {channel.name!r} has no playlist any more")
            await host.add_to_playlist(video_id, channel.playlist_id)


async def _require_processed(video_id: str, host: ExtrasHost) -> None:
    hosted = await host.inspect(video_id)
    if hosted.problem is not None:
        raise Rejected(f"the host refused video {video_id}: {hosted.problem}")
    if not hosted.processed:
        raise Transient(f"the host is still processing video {video_id}, a Short")


def _after(extra: Extra, error: StageError, now: datetime) -> Extra:
    match error:
        case Deferred(until=until):
            return _later(extra, str(error), now, until)
        case Transient(retry_after=seconds):
            return _later(extra, str(error), now, now + timedelta(seconds=seconds or 0))
        case Waiting():
            return _later(extra, str(error), now)
    return replace(extra, status=ExtraStatus.REFUSED, reason=str(error), until=None)


def _later(extra: Extra, reason: str, now: datetime, until: datetime | None = None) -> Extra:
    """The extra once more, after a pause that grows with each try; not for ever."""
    tries = extra.tries + 1
    if tries >= TRIES:
        return replace(
            extra,
            status=ExtraStatus.REFUSED,
            reason=f"given up after {tries} tries: {reason}",
            until=None,
            tries=tries,
        )
    pause = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(extra.tries, 20))
    return replace(extra, reason=reason, until=max(pause, until or pause), tries=tries)
