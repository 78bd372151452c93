"""Another host's clock against ours, read from the headers of what it answers anyway."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from workers.doctor.finding import Finding
from workers.doctor.local import skew

# A Date header has whole seconds and is as old as the answer's way to us.
HEADER_SECONDS = 2.0


def served_at(headers: Mapping[str, str]) -> datetime | None:
    """When the answer left its server, a cache's `Age` added; None when it does not say."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    age = headers.get("age", "").strip()
    return date + timedelta(seconds=int(age) if age.isdecimal() and len(age) < 9 else 0)


def differing(check: str, whose: str, server_time: datetime | None) -> list[Finding]:
    """What it means when the server's clock differs from ours; nothing when it does not."""
    if server_time is None or server_time.tzinfo is None:
        return []
    ahead = (server_time - datetime.now(UTC)).total_seconds()
    return [skew(check, whose, ahead)] if abs(ahead) > HEADER_SECONDS else []
