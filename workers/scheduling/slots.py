"""When a channel's videos become public: its `upload_schedule`, by the wall clock of its zone.

    {"days": ["mon", "wed"], "times": ["09:00", "17:30"], "lead_minutes": 120}

`days` are all seven when left out. `lead_minutes` is how long before a slot its run begins.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from workers.scheduling.zones import BadSchedule, nearest_moment, wall_clock

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LEAD_MINUTES = 120
REVIEW_LEAD_MINUTES = 24 * 60
MOST_LEAD_MINUTES = 7 * 24 * 60
LATEST_START = timedelta(hours=6)
_DAY = timedelta(days=1)
_READING = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")


def _clock(text: str) -> str:
    """`HH:MM`, a reading of a clock."""
    if not _READING.fullmatch(text):
        raise ValueError('a time of day is "HH:MM", such as "09:00"')
    return text


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("one is there twice")
    return values


Clock = Annotated[str, AfterValidator(_clock)]


@dataclass(frozen=True, slots=True)
class Slot:
    """A time at which a video becomes public; `name` tells slots of a channel apart for ever."""

    at: datetime
    day: date
    name: str


class UploadSchedule(BaseModel):
    """What a channel's `upload_schedule` holds; without times the channel produces nothing by
    itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    days: Annotated[tuple[Day, ...], Field(strict=False), AfterValidator(_distinct)] = WEEK
    times: Annotated[
        tuple[Clock, ...], Field(strict=False, max_length=48), AfterValidator(_distinct)
    ] = ()
    lead_minutes: Annotated[int, Field(ge=0, le=MOST_LEAD_MINUTES)] | None = None

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Raises `BadSchedule` that names each field that is wrong."""
        try:
            return cls.model_validate(dict(stored))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'schedule'}: {e['msg']}" for e in error.errors()
            )
            raise BadSchedule(f"this is no upload schedule: {problems}") from None

    def lead(self, *, reviewed: bool) -> timedelta:
        """How long before a slot its run begins: a day when a person has to look at it first."""
        usual = REVIEW_LEAD_MINUTES if reviewed else LEAD_MINUTES
        return timedelta(minutes=usual if self.lead_minutes is None else self.lead_minutes)

    def slots(self, zone: ZoneInfo, *, after: datetime, until: datetime) -> Iterator[Slot]:
        """The slots after one moment and up to another, in order.

        A time that the clock skips is the moment of the jump; one that comes twice, the first.
        """
        day = (wall_clock(after, zone) - _DAY).date()
        last = (wall_clock(until, zone) + _DAY).date()
        while day <= last:
            if WEEK[day.weekday()] in self.days:
                for clock in sorted(self.times):
                    at = nearest_moment(datetime.combine(day, time.fromisoformat(clock)), zone)
                    if after < at <= until:
                        yield Slot(at, day, f"{day}T{clock}")
            day += _DAY


def due_slots(
    schedule: UploadSchedule,
    zone: ZoneInfo,
    *,
    reviewed: bool,
    now: datetime,
    handled_until: datetime | None,
) -> list[Slot]:
    """The slots whose runs should begin now.

    `handled_until` is the last slot that was dealt with; without one, only slots to come count. A
    slot that was missed is still made up to six hours after its time.
    """
    since = now if handled_until is None else max(handled_until, now - LATEST_START)
    until = now + schedule.lead(reviewed=reviewed)
    return list(schedule.slots(zone, after=since, until=until)) if until > since else []
