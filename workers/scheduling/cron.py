"""When a cron expression is due, by the wall clock of its time zone.

The clocks of most zones are set forward and back once a year. An expression whose hour field
begins with `*` counts real time: it is due whenever the clock shows such a reading, in a repeated
hour twice, in a skipped one not at all. Any other names hours of the day: it is due once for each
reading, at the first of two, and for a skipped one when the clock has jumped over it.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from workers.scheduling.zones import (
    BadSchedule,
    is_skipped,
    is_twice,
    jump_around,
    moment_of,
    time_zone,
    wall_clock,
)

FIELDS = 5
CRON_CHARACTERS = 255
NAMED = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
EXAMPLE = "'30 9 * * mon-fri' (minute, hour, day, month, weekday)"
FIRST_LOOK_BACK = timedelta(hours=1)
_RANDOM = re.compile(r"(?:^|[ ,])[rh]", re.IGNORECASE)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression in a time zone; `Cron.parse` makes one."""

    text: str
    zone: ZoneInfo = field(compare=False)
    counts_real_time: bool

    @classmethod
    def parse(cls, text: str, zone_name: str) -> Self:
        """Raises `BadSchedule` that says why an expression or a zone cannot be used."""
        zone = time_zone(zone_name)
        cleaned = " ".join(text.split())
        fields = cleaned.split(" ")
        if len(cleaned) > CRON_CHARACTERS:
            raise BadSchedule(f"a cron expression has at most {CRON_CHARACTERS} characters")
        if cleaned.startswith("@"):
            if cleaned not in NAMED:
                raise BadSchedule(f"{cleaned!r} is none of {', '.join(NAMED)}")
        elif len(fields) != FIELDS:
            raise BadSchedule(
                f"a cron expression has {FIELDS} fields, such as {EXAMPLE}; this has"
                f" {len(fields) if cleaned else 0}"
            )
        elif _RANDOM.search(cleaned):
            raise BadSchedule("a cron expression names its times; R and H (random ones) do not")
        try:
            expanded = croniter(cleaned, datetime(2026, 1, 1)).expanded  # noqa: DTZ001 - a wall clock
            made = cls(cleaned, zone, expanded[1][0] == "*" or _star(fields))
            made.next_after(datetime(2026, 1, 1, tzinfo=UTC))
        except CroniterBadDateError:
            raise BadSchedule(f"the cron expression {cleaned!r} is never due") from None
        except (CroniterError, TypeError, ValueError, OverflowError) as error:
            raise BadSchedule(
                f"{cleaned!r} is no cron expression: {error}; one looks like {EXAMPLE}"
            ) from None
        return made

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment after this one, in UTC."""
        local = moment.astimezone(self.zone)
        wall = wall_clock(moment, self.zone)
        again = bool(local.fold) and is_twice(wall, self.zone)
        if self.counts_real_time and not again and is_twice(wall, self.zone):
            return self._after_in_first_pass(wall)
        began = wall
        while True:
            wall = self._next(wall)
            if is_skipped(wall, self.zone):
                if self.counts_real_time:
                    continue
                return jump_around(wall, self.zone)
            if not is_twice(wall, self.zone):
                return moment_of(wall, self.zone)
            repeated = again and wall - began < _DAY  # in the repetition that we are in
            if repeated and not self.counts_real_time:
                continue
            return moment_of(wall, self.zone, second=repeated)

    def latest(self, since: datetime, until: datetime, most: int) -> list[datetime]:
        """The last `most` due moments from `since` to `until`, both included, oldest first."""
        back = FIRST_LOOK_BACK
        while True:
            start = max(since, until - back)
            found = self._all(start, until)
            if len(found) >= most or start == since:
                return found[-most:]
            back *= 4

    def _all(self, since: datetime, until: datetime) -> list[datetime]:
        found = []
        moment = since - timedelta(microseconds=1)
        while (moment := self.next_after(moment)) <= until:
            found.append(moment)
        return found

    def _after_in_first_pass(self, wall: datetime) -> datetime:
        """The clock will be set back: what is left of this pass, then the readings that repeat."""
        following = self._next(wall)
        if is_twice(following, self.zone) and following - wall < _DAY:
            return moment_of(following, self.zone)
        set_back_to = wall_clock(jump_around(wall, self.zone), self.zone)
        following = self._next(set_back_to - _MINUTE)
        second = is_twice(following, self.zone) and following - wall < _DAY
        return moment_of(following, self.zone, second=second)

    def _next(self, wall: datetime) -> datetime:
        following: datetime = croniter(self.text, wall).get_next(datetime)
        return following


def _star(fields: list[str]) -> bool:
    return len(fields) == FIELDS and fields[1].startswith("*")
