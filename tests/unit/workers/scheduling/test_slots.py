"""Upload schedules: slots by the channel's clock, each once, in order."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.scheduling.slots import LATEST_START, WEEK, UploadSchedule, due_slots
from workers.scheduling.zones import BadSchedule, wall_clock

BERLIN = ZoneInfo("Europe/Berlin")
MON_9 = datetime(2026, 11, 30, 8, tzinfo=UTC)  # 09:00 in Berlin


def schedule(**stored: Any) -> UploadSchedule:
    return UploadSchedule.read(stored)


def test_slots_are_the_times_of_the_chosen_days() -> None:
    found = schedule(days=["mon", "sat"], times=["17:30", "09:00"]).slots(
        BERLIN, after=MON_9 - timedelta(days=1), until=MON_9 + timedelta(days=5)
    )
    assert [slot.name for slot in found] == [
        "2026-11-30T09:00", "2026-11-30T17:30", "2026-12-05T09:00",
    ]  # fmt: skip


def test_skipped_time_is_at_the_jump_and_a_repeated_one_the_first() -> None:
    both = schedule(times=["02:30"])
    for day, at in ((date(2026, 3, 29), 1), (date(2026, 10, 25), 0.5)):
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        (slot,) = both.slots(BERLIN, after=midnight, until=midnight + timedelta(hours=20))
        assert (slot.day, slot.at) == (day, midnight + timedelta(hours=at))


def test_schedule_without_times_has_no_slots() -> None:
    for stored in ({}, {"times": []}, {"days": [], "times": ["09:00"]}):
        assert not due_slots(
            UploadSchedule.read(stored), BERLIN, reviewed=False, now=MON_9, handled_until=None
        )


def test_run_begins_its_lead_before_the_slot_and_once() -> None:
    times = schedule(times=["09:00"], lead_minutes=90)
    lead = timedelta(minutes=90)

    def due(now: datetime, handled: datetime | None) -> list[str]:
        found = due_slots(times, BERLIN, reviewed=False, now=now, handled_until=handled)
        return [slot.name for slot in found]

    before = MON_9 - timedelta(days=2)
    earlier = MON_9 - timedelta(days=1)
    assert due(MON_9 - lead - timedelta(seconds=1), earlier) == []
    assert due(MON_9 - lead, earlier) == ["2026-11-30T09:00"]
    assert due(MON_9 - lead, MON_9) == []
    assert due(MON_9 + LATEST_START - timedelta(seconds=1), before) == ["2026-11-30T09:00"]
    assert due(MON_9 + LATEST_START, before) == []
    assert due(MON_9, None) == []  # one that is over when the schedule is first seen


def test_reviewer_gets_a_day() -> None:
    assert schedule(times=["09:00"]).lead(reviewed=True) == timedelta(days=1)
    assert schedule(times=["09:00"]).lead(reviewed=False) == timedelta(hours=2)
    assert schedule(times=["09:00"], lead_minutes=5).lead(reviewed=True) == timedelta(minutes=5)


@settings(max_examples=60)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.lists(st.sampled_from(WEEK), min_size=1, unique=True),
    st.lists(st.times(), min_size=1, max_size=5, unique_by=lambda t: (t.hour, t.minute)),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001
    st.lists(st.integers(1, 3000), min_size=1, max_size=12),
)
def test_any_steps_of_time_find_every_slot_once(
    zone_name: str, days: list[str], times: list[Any], start: datetime, steps: list[int]
) -> None:
    zone = ZoneInfo(zone_name)
    wanted = UploadSchedule.read(
        {"days": days, "times": [f"{t:%H:%M}" for t in times], "lead_minutes": 30}
    )
    began = now = handled = start.replace(tzinfo=UTC)
    found = []
    for step in steps:
        now += timedelta(minutes=min(step, 300))  # less than the six hours
        for slot in due_slots(wanted, zone, reviewed=False, now=now, handled_until=handled):
            found.append(slot)
            handled = max(handled, slot.at)
    assert found == list(wanted.slots(zone, after=began, until=now + timedelta(minutes=30)))
    assert len({slot.name for slot in found}) == len(found)
    assert all(WEEK[wall_clock(slot.at, zone).weekday()] in days for slot in found)


@pytest.mark.parametrize(
    "stored",
    [
        {"times": ["9:00"]},
        {"times": ["24:00"]},
        {"times": ["09:60"]},
        {"times": ["09:00", "09:00"]},
        {"times": "09:00"},
        {"times": [900]},
        {"times": ["\uff10\uff19:00"]},
        {"days": ["monday"], "times": ["09:00"]},
        {"days": ["mon", "mon"], "times": ["09:00"]},
        {"times": ["09:00"], "lead_minutes": -1},
        {"times": ["09:00"], "lead_minutes": "5"},
        {"time": ["09:00"]},
    ],
)
def test_what_is_no_schedule_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(BadSchedule, match="upload schedule"):
        UploadSchedule.read(stored)
