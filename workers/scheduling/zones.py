"""Wall clocks: what a time zone's clock shows, and the moments at which it jumps."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ZONE_CHARACTERS = 50


class BadSchedule(ValueError):
    """A schedule that cannot be kept; the message says what is wrong with it, and how it looks."""


def time_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises `BadSchedule`."""
    try:
        if len(name) > ZONE_CHARACTERS:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSchedule(
            f"{name[:60]!r} is no time zone; give an IANA name such as Europe/Berlin"
        ) from None


def wall_clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows at a moment: no zone, no fold."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def moment_of(wall: datetime, zone: ZoneInfo, *, second: bool = False) -> datetime:
    """The moment in UTC of a wall clock's reading that comes; of one that comes twice the first,
    or the second."""
    return wall.replace(tzinfo=zone, fold=int(second)).astimezone(UTC)


def is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock jumps over this reading."""
    return wall_clock(moment_of(wall, zone), zone) != wall


def is_twice(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock shows this reading twice, since it is set back after the first time."""
    first, second = moment_of(wall, zone), moment_of(wall, zone, second=True)
    return first != second and not is_skipped(wall, zone)


def jump_around(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the clock jumps over a skipped reading, or is set back to repeat one."""
    early, late = sorted((moment_of(wall, zone), moment_of(wall, zone, second=True)))
    after = late.astimezone(zone).utcoffset()
    low, high = 0, int((late - early).total_seconds())
    while low < high:  # jumps happen at whole seconds
        middle = (low + high) // 2
        if (early + timedelta(seconds=middle)).astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle + 1
    return early + timedelta(seconds=low)


def nearest_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a reading: the first of two; for a skipped one the jump itself."""
    return jump_around(wall, zone) if is_skipped(wall, zone) else moment_of(wall, zone)
