"""Properties of the choice between accounts and of their next chance."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from db.repositories.reservations import Candidate, HeldUnits
from workers.accounts.choice import (
    Moment,
    Room,
    capacity_at,
    in_order,
    next_chance,
    obstacles,
)
from workers.accounts.health import (
    FLOOR,
    FULL,
    HALF_LIFE,
    after_gain,
    after_loss,
    health_at,
    reaches_floor_at,
)
from workers.accounts.quota_policy import Need

NOW = datetime(2026, 6, 10, 19, tzinfo=UTC)
TODAY = Moment(NOW, date(2026, 6, 10), datetime(2026, 6, 11, 7, tzinfo=UTC))
NEED = Need(1, {"videos.insert": 1, "default": 55})

scores = st.floats(0, 100, allow_nan=False).map(lambda score: round(score, 2))
moments = st.timedeltas(timedelta(hours=-30), timedelta(hours=30)).map(lambda age: NOW + age)
rooms = st.builds(Room, used=st.integers(0, 120), limit=st.integers(0, 120))


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    return Candidate(
        id=UUID(int=draw(st.integers(1, 2**64))),
        email="a@example.org",
        provider="youtube",
        channel_id="UC_a",
        project="1",
        is_active=draw(st.booleans()),
        is_reserve=draw(st.booleans()),
        state=draw(st.sampled_from(["ready", "cooling", "needs_reauth", "suspended", "disabled"])),
        health_score=Decimal(str(draw(scores))),
        health_changed_at=draw(moments.filter(lambda moment: moment <= NOW)),
        uploads_today=draw(st.integers(0, 8)),
        upload_limit=draw(st.integers(0, 6)),
        quota_used_today=draw(st.integers(0, 120)),
        quota_limit=draw(st.integers(0, 120)),
        quota_date=draw(st.sampled_from([TODAY.today, date(2026, 6, 9)])),
        cooldown_until=draw(st.none() | moments),
        last_upload_at=draw(st.none() | moments),
        consecutive_errors=0,
    )


holds = st.lists(
    st.builds(
        HeldUnits,
        execution_id=st.just(UUID(int=1)),
        account_id=st.sampled_from([UUID(int=1), UUID(int=2)]),
        project=st.just("1"),
        expires_at=moments,
        units=st.fixed_dictionaries(
            {"videos.insert": st.integers(0, 1), "default": st.integers(0, 555)}
        ),
        uploads=st.integers(0, 1),
    ),
    max_size=6,
)
projects = st.fixed_dictionaries({("1", "videos.insert"): rooms, ("1", "default"): rooms})


@given(candidates(), projects, holds)
def test_next_chance_is_now_exactly_when_nothing_stands_against_it(account, buckets, held):  # type: ignore[no-untyped-def]
    found = obstacles(account, NEED, buckets, TODAY, held)
    chance = next_chance(found, TODAY)
    assert (not found) <= (chance == NOW)
    assert chance is None or chance >= NOW
    assert bool(found) == bool(obstacles(account, NEED, buckets, TODAY))


@given(candidates(), projects, holds)
def test_account_serves_at_its_next_chance(account, buckets, held):  # type: ignore[no-untyped-def]
    """When the chance comes, with the reservations of that moment ended, nothing is left against
    it."""
    account = replace(account, id=UUID(int=1))
    chance = next_chance(obstacles(account, NEED, buckets, TODAY, held), TODAY)
    if chance is None:
        return
    if chance >= TODAY.midnight:
        fresh = {key: Room(0, room.limit) for key, room in buckets.items()}
        day = TODAY.today + timedelta(days=1 + (chance - TODAY.midnight) // timedelta(days=1))
        then = Moment(chance, day, chance + timedelta(hours=24))
        assert not obstacles(account, NEED, fresh, then)
        return
    over = [each for each in held if each.expires_at <= chance]
    mine = [each for each in over if each.account_id == account.id]
    if account.quota_date == TODAY.today:
        account = replace(
            account,
            uploads_today=account.uploads_today - sum(each.uploads for each in mine),
            quota_used_today=account.quota_used_today - sum(each.units["default"] for each in mine),
        )
    given_back = {
        (project, bucket): Room(room.used - sum(each.units[bucket] for each in over), room.limit)
        for (project, bucket), room in buckets.items()
    }
    then = Moment(chance, TODAY.today, TODAY.midnight)
    assert not obstacles(account, NEED, given_back, then)


@given(rooms, st.integers(0, 60), st.lists(st.tuples(moments, st.integers(0, 60)), max_size=5))
def test_more_room_never_means_later(room, units, returning):  # type: ignore[no-untyped-def]
    at = capacity_at(room, units, returning, TODAY)
    wider = capacity_at(Room(room.used, room.limit + 1), units, returning, TODAY)
    assert at is None or (wider is not None and wider <= at)
    if at is None:
        assert units > room.limit


@given(st.lists(candidates(), max_size=6, unique_by=lambda account: account.id))
def test_order_is_total_and_prefers_own_then_primary_then_healthy(accounts):  # type: ignore[no-untyped-def]
    ordered = in_order(accounts, TODAY)
    assert ordered == in_order(reversed(accounts), TODAY)
    reserve = [account.is_reserve for account in ordered]
    assert reserve == sorted(reserve)
    for own in accounts:
        assert in_order(accounts, TODAY, preferred=own.id)[0].id == own.id


@given(scores, st.timedeltas(timedelta(0), timedelta(days=90)), scores)
def test_health_stays_within_and_only_recovers_by_itself(score, age, points):  # type: ignore[no-untyped-def]
    later = health_at(score, NOW, NOW + age)
    assert score <= later <= FULL
    assert health_at(score, NOW, NOW) == score
    assert 0 <= after_loss(later, points) <= later <= after_gain(later, points) <= FULL
    # Recovering in two steps is recovering in one, up to the hundredth that is stored.
    half = health_at(score, NOW, NOW + age / 2)
    assert abs(health_at(half, NOW, NOW + age / 2) - later) <= 0.011


@given(scores)
def test_what_is_missing_halves_and_the_floor_is_reached(score):  # type: ignore[no-untyped-def]
    assert abs(FULL - health_at(score, NOW, NOW + HALF_LIFE) - (FULL - score) / 2) <= 0.006
    at = reaches_floor_at(score, NOW)
    assert health_at(score, NOW, at) >= FLOOR
    if score < FLOOR - 0.1:
        assert health_at(score, NOW, at - timedelta(minutes=2)) < FLOOR
