"""From an error to what the queue does about it; pure."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.errors import Deferred, Rejected, StageError, Transient, Waiting

BACKOFF_BASE_SECONDS = 2.0
BACKOFF_CAP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Again:
    """The step runs again after `delay` by the database's clock; that costs one attempt."""

    delay: timedelta
    error: str


@dataclass(frozen=True, slots=True)
class Later:
    """The step runs again at `until`, as the same attempt."""

    until: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Held:
    """The step waits for a person; its job rests."""

    error: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The run fails with this error."""

    error: str


Decision = Again | Later | Held | Ended


def decide(
    error: Exception,
    *,
    finished_attempts: int,
    max_attempts: int | None,
    chance: random.Random,
) -> Decision:
    """What becomes of a step whose stage raised `error`.

    `finished_attempts` are those before this one; `max_attempts` counts runs in all, None is
    endless. Backoff is exponential with full jitter, so that a crowd of failed steps does not
    return as a crowd; a stated `retry_after` is the least.
    """
    text = describe(error)
    match error:
        case Rejected():
            return Ended(text)
        case Waiting():
            return Held(text)
        case Deferred(until=until):
            return Later(until, text)
    if max_attempts is not None and finished_attempts + 1 >= max_attempts:
        return Ended(f"{text} (given up after {finished_attempts + 1} attempts)")
    ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0**finished_attempts)
    delay = chance.uniform(0, ceiling)
    if isinstance(error, Transient) and error.retry_after is not None:
        delay += error.retry_after
    return Again(timedelta(seconds=delay), text)


def describe(error: BaseException) -> str:
    """The error in one line for the step's row; a bug is named by its class as well."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, StageError) else f"{type(error).__name__}: {text}"
