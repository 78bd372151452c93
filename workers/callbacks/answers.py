"""What a receiver's answer means, and when a failed callback is tried again; pure.

n8n answers a resume address in its own words, and its 409s differ in their text alone:

    409 is running already        the execution does not wait yet: again within seconds
    409 has finished already      it went on without us, or a lost answer: delivered
    409 has finished with error   nobody waits there any more
    404 does not exist            the same
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: The delays after the first, second, ... failure, as Standard Webhooks proposes them: three days.
SCHEDULE_SECONDS: Sequence[float] = (
    5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600,
)  # fmt: skip
JITTER = 0.1
LONGEST_WAIT_SECONDS = 24 * 3600.0
#: How long others wait that go to a receiver which is overloaded and does not say how long.
HOLD_SECONDS = 300.0
EARLY_FIRST_SECONDS, EARLY_LONGEST_SECONDS = 0.1, 2.0
#: About five minutes of quick tries; after them one a minute, for a day.
EARLY_QUICK, EARLY_MOST = 150, 1590
EARLY_SLOW_SECONDS = 60.0
EXCERPT_CHARACTERS = 200

OVERLOADED = frozenset((429, 502, 504))
GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it. `note` says so when it did not say it plainly."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class Early:
    """n8n's execution does not wait yet."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Again later. `wait` is the receiver's own wish in seconds; `overloaded`: others wait too."""

    reason: str
    wait: float | None = None
    overloaded: bool = False


@dataclass(frozen=True, slots=True)
class Hopeless:
    """A repeat would be answered the same: a person must look."""

    reason: str


Judgement = Delivered | Early | Failed | Hopeless


def judge(status: int, text: str, *, retry_after: float | None = None) -> Judgement:
    """What an answer means. `text` is the beginning of its body."""
    said = f"answered {status}" + (f": {_excerpt(text)}" if text.strip() else "")
    if 200 <= status < 300:
        return Delivered()
    if status == 409 and "is running already" in text:
        return Early()
    if status == 409 and "has finished already" in text:
        return Delivered("n8n's execution had finished already")
    if status == 409 and "has finished with error" in text:
        return Hopeless(f"n8n's execution had ended with an error before this; {said}")
    if status == 404 and "does not exist" in text:
        return Hopeless(f"n8n has no such execution any more; {said}")
    if status == 401:
        return Hopeless(f"the address lacks its token, or its token is wrong; {said}")
    if status == 403:
        return Hopeless(f"the receiver wants another YTEMPIRE_CALLBACK_HEADER; {said}")
    if status == GONE:
        return Hopeless(f"the receiver wants no more of these; {said}")
    if 300 <= status < 400:
        return Failed(f"redirects are not followed: give the final address; answered {status}")
    return Failed(said, wait=retry_after, overloaded=status in OVERLOADED)


def delay_after(failures: int, wait: float | None, chance: random.Random) -> float | None:
    """Seconds until the next try after so many failures; None: it is given up.

    The receiver's own wish is the least, up to a day; jitter keeps a crowd from returning as one.
    """
    if failures > len(SCHEDULE_SECONDS):
        return None
    planned = SCHEDULE_SECONDS[failures - 1] * (1 + chance.uniform(0, JITTER))
    return max(planned, min(wait or 0.0, LONGEST_WAIT_SECONDS))


def delay_after_early(early_answers: int) -> float | None:
    """Seconds until n8n is asked again whether it waits; None: it never came to wait."""
    if early_answers > EARLY_MOST:
        return None
    if early_answers > EARLY_QUICK:
        return EARLY_SLOW_SECONDS
    doubled = EARLY_FIRST_SECONDS * 2.0 ** min(early_answers - 1, 10)
    return min(doubled, EARLY_LONGEST_SECONDS)


def read_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for; None for none, or one that says nothing."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        return float(text.strip()[:12])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _excerpt(text: str) -> str:
    """The beginning of a body in one printable line."""
    line = " ".join(text.split())
    shown = "".join(c if c.isprintable() else "?" for c in line)
    return shown if len(shown) <= EXCERPT_CHARACTERS else f"{shown[:EXCERPT_CHARACTERS]}..."
