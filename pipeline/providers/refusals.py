"""What the vendors' refusals have in common: how long to wait, and what of them may be quoted."""

import email.utils
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pipeline.errors import Deferred, StageError, Transient

LONGEST_WAIT_SECONDS = 3_600.0
CREDIT_PROBE_SECONDS = 3_600.0
QUOTED_CHARACTERS = 300

# What stands before a service gave up on it; the service itself may go on.
GATEWAY_GAVE_UP = frozenset({502, 504, 520, 524})
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"})


def never_sent(error: BaseException | None) -> bool:
    """Whether an HTTP client's error says that nothing of the request went out. By name: the
    clients of two vendors' SDKs are two libraries with the same classes."""
    return type(error).__name__ in _NEVER_SENT


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait as the vendor says (a number or a date, header names in lower case); None
    when it does not say. Never more than an hour."""
    stated = headers.get("retry-after", "").strip()
    if not stated:
        return None
    try:
        seconds = float(stated)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(stated)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def too_many(message: str, headers: Mapping[str, str], now: datetime) -> StageError:
    """A rate limit: with a stated wait it costs no attempt, without one the queue backs off."""
    seconds = retry_after(headers, now)
    if seconds is None:
        return Transient(message)
    return Deferred(message, until=now + timedelta(seconds=seconds))


def quoted(text: object, secret: str = "") -> str:
    """A vendor's own words in one line, cut short, without our key, wherever they repeat it."""
    line = " ".join(str(text).split())
    if secret:
        line = line.replace(secret, "[key]")
    line = "".join(c for c in line if c.isprintable())
    return line[:QUOTED_CHARACTERS] or "no message"
