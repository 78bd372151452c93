"""How a run of a job ends, as values; the queue writes them under the fence.

Finish    done
Retry     again at a time; costs an attempt, and the last attempt fails the job instead
Snooze    again at a time; costs no attempt
Fail      never again
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

When: TypeAlias = datetime | timedelta | None
"""An aware moment; or a delay by the database's clock, which a host's wrong clock cannot distort;
or None: at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The job is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Again at `at`, as another attempt; if that would exceed max_attempts, the job fails with
    `error`. `priority` (1 first .. 10), `queue` and `lock` change where they are not None."""

    error: str
    at: When = None
    error_class: str | None = None
    priority: int | None = None
    queue: str | None = None
    lock: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snooze:
    """Again at `until`, as the same attempt: nothing is wrong with the work itself."""

    until: When
    error: str
    error_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The job has failed for good."""

    error: str
    error_class: str | None = None


Outcome: TypeAlias = Finish | Retry | Snooze | Fail


class EndJob(Exception):
    """Raised by a task that has nothing to write: the queue ends its job with `outcome`."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(getattr(outcome, "error", "done"))
        self.outcome = outcome


def ending_arguments(outcome: Outcome) -> dict[str, Any]:
    """The arguments of the statement job_end that say how, without those that say which run."""
    match outcome:
        case Finish():
            return _arguments("completed")
        case Fail():
            return _arguments("failed", error=outcome.error, error_class=outcome.error_class)
        case Snooze():
            return _arguments(
                "snooze", error=outcome.error, error_class=outcome.error_class, when=outcome.until
            )
        case Retry():
            return _arguments(
                "retry",
                error=outcome.error,
                error_class=outcome.error_class,
                when=outcome.at,
                priority=outcome.priority,
                queue_name=outcome.queue,
                lock=outcome.lock,
            )


def plain_arguments(kind: str, error: str | None, error_class: str | None) -> dict[str, Any]:
    """The same for the endings that only the queue itself gives: aborted, release."""
    return _arguments(kind, error=error, error_class=error_class)


def _arguments(
    kind: str,
    *,
    error: str | None = None,
    error_class: str | None = None,
    when: When = None,
    priority: int | None = None,
    queue_name: str | None = None,
    lock: str | None = None,
) -> dict[str, Any]:
    if isinstance(when, datetime) and when.utcoffset() is None:
        raise ValueError(f"the moment of a {kind} must be an aware datetime, got {when!r}")
    return {
        "outcome": kind,
        "error": None if error is None else storable(error),
        "error_class": error_class,
        "at": when if isinstance(when, datetime) else None,
        "delay": when.total_seconds() if isinstance(when, timedelta) else 0.0,
        "priority": priority,
        "queue_name": queue_name,
        "lock": lock,
        "delete": False,
    }


def storable(text: str, *, limit: int = 10_000) -> str:
    """Text that Postgres can hold whatever an exception's message contained: no NUL, no lone
    surrogates, bounded length."""
    clean = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
    return clean if len(clean) <= limit else f"{clean[: limit - 15]}... (shortened)"
