"""Cron by the wall clock, against a plain walk through every minute of the real time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.scheduling.cron import Cron
from workers.scheduling.zones import BadSchedule, is_skipped, jump_around, wall_clock

MINUTE = timedelta(minutes=1)
# Zones and moments around jumps of an hour, of half an hour, of a whole day, and of none.
JUMPS = {
    "Europe/Berlin": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "America/New_York": (
        datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),
    ),
    "Australia/Lord_Howe": (
        datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    ),
    "Pacific/Apia": (datetime(2011, 12, 30, 10, tzinfo=UTC),),
    "Asia/Kolkata": (datetime(2026, 7, 1, tzinfo=UTC),),
}  # fmt: skip


@st.composite
def places(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """A zone and a moment to the second, less than two days from a jump of its clock."""
    name = draw(st.sampled_from(sorted(JUMPS)))
    jump = draw(st.sampled_from(JUMPS[name]))
    seconds = draw(st.integers(-36 * 3600, 36 * 3600))
    micro = draw(st.sampled_from((0, 0, 1, 999_999)))
    return ZoneInfo(name), jump + timedelta(seconds=seconds, microseconds=micro)


minutes = st.lists(st.integers(0, 59), min_size=1, max_size=4, unique=True)
hours = st.lists(st.integers(0, 23), min_size=1, max_size=6, unique=True)


def walk(moment: datetime) -> Iterator[datetime]:
    minute = moment.replace(second=0, microsecond=0)
    while True:
        minute += MINUTE
        yield minute


def listed(numbers: list[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


@settings(max_examples=150)
@given(places(), minutes)
def test_every_hour_counts_real_time(place: tuple[ZoneInfo, datetime], at: list[int]) -> None:
    zone, moment = place
    expected = next(m for m in walk(moment) if m.astimezone(zone).minute in at)
    assert Cron.parse(f"{listed(at)} * * * *", zone.key).next_after(moment) == expected


@settings(max_examples=300)
@given(places(), minutes, hours)
def test_named_hours_are_due_once_a_reading_and_never_left_out(
    place: tuple[ZoneInfo, datetime], at: list[int], of: list[int]
) -> None:
    zone, moment = place
    cron = Cron.parse(f"{listed(at)} {listed(of)} * * *", zone.key)

    def is_due(minute: datetime) -> bool:
        local = minute.astimezone(zone)
        shown = local.hour in of and local.minute in at and local.fold == 0
        before, after = wall_clock(minute - MINUTE, zone) + MINUTE, wall_clock(minute, zone)
        skipped = []
        while before < after:  # what the clock has just jumped over
            skipped.append(before.hour in of and before.minute in at)
            before += MINUTE
        return shown or any(skipped)

    assert cron.next_after(moment) == next(m for m in walk(moment) if is_due(m))


@settings(max_examples=60)
@given(places(), minutes, st.one_of(st.none(), hours), st.integers(1, 30))
def test_latest_are_the_last_of_all(
    place: tuple[ZoneInfo, datetime], at: list[int], of: list[int] | None, most: int
) -> None:
    zone, moment = place
    cron = Cron.parse(f"{listed(at)} {listed(of) if of else '*'} * * *", zone.key)
    until = moment + timedelta(days=2)
    everything, due = [], moment - timedelta(microseconds=1)
    while (due := cron.next_after(due)) <= until:
        everything.append(due)
    assert cron.latest(moment, until, most) == everything[-most:]
    assert all(a < b for a, b in pairwise(everything))


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("30 2 * * *", "2026-03-28T23:00", "2026-03-29T01:00"),  # skipped: at the jump
        ("30 2 * * *", "2026-03-29T01:00", "2026-03-30T00:30"),
        ("30 2 * * *", "2026-10-24T23:00", "2026-10-25T00:30"),  # twice: the first
        ("30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("*/30 * * * *", "2026-10-25T00:30", "2026-10-25T01:00"),  # real time goes on
        ("*/30 * * * *", "2026-03-29T00:30", "2026-03-29T01:00"),
        ("0 9 * * mon-fri", "2026-11-27T09:00", "2026-11-30T08:00"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-28T23:00"),
        ("@daily", "2026-06-01T12:00", "2026-06-01T22:00"),
    ],
)
def test_berlin(cron: str, after: str, due: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert Cron.parse(cron, "Europe/Berlin").next_after(moment) == datetime.fromisoformat(
        due
    ).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "5 fields"),
        ("* * * *", "5 fields"),
        ("* * * * * *", "5 fields"),
        ("61 * * * *", "out of range"),
        ("0 24 * * *", "out of range"),
        ("*/0 * * * *", "step"),
        ("0 0 30 2 *", "never due"),
        ("@reboot", "none of"),
        ("R * * * *", "random"),
        ("0 0 * * H", "random"),
        ("a b c d e", "no cron expression"),
        ("\x00 * * * *", "no cron expression"),
        ("0 9 * * someday", "no cron expression"),
        ("* " * 200, "at most"),
    ],
)
def test_what_is_no_cron_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadSchedule, match=said):
        Cron.parse(text, "UTC")


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "x" * 99, "a\x00b"]
)
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadSchedule, match="time zone"):
        Cron.parse("0 9 * * *", zone)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_be_refused_or_be_due(text: str) -> None:
    try:
        cron = Cron.parse(text, "Europe/Berlin")
    except BadSchedule:
        return
    now = datetime(2026, 3, 29, tzinfo=UTC)
    assert cron.next_after(now) > now


def test_jump_is_found_to_the_second() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for wall in (datetime(2026, 3, 29, 2), datetime(2026, 3, 29, 2, 59, 59)):  # noqa: DTZ001
        assert is_skipped(wall, zone)
        assert jump_around(wall, zone) == datetime(2026, 3, 29, 1, tzinfo=UTC)
