"""Durations and moments as people type them on the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from workers.cli.output import parse_time

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """'90s', '1h30m', '2d'; ValueError says how it should look."""
    position, seconds = 0, 0.0
    for part in _PART.finditer(text):
        if part.start() != position:
            break
        seconds += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise ValueError(f"{text!r} is no duration: write 90s, 15m, 1h30m, 2d or 1w")
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is more than ten years")
    return timedelta(seconds=seconds)


def parse_moment(text: str, *, now: datetime) -> datetime:
    """An ISO 8601 time (UTC if it names no zone), or '+' and a duration counted from `now`.

    ValueError or CommandError says how it should look.
    """
    return now + parse_duration(text[1:]) if text.startswith("+") else parse_time(text)
