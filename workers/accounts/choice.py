"""Which account serves, and when one will: pure, over rows that are locked.

An account serves when nothing stands against it: its state, its cooling, its health, its own limits
of the Pacific day, and the buckets of its Cloud project. Each has a moment from which it no longer
does, by itself; the latest of them is the account's next chance.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from db.repositories.reservations import Candidate, HeldUnits
from workers.accounts.health import FLOOR, health_at, reaches_floor_at
from workers.accounts.quota_policy import DEFAULT_BUCKET, Need


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, its Pacific day, and the end of that day (23 to 25 hours after its beginning)."""

    now: datetime
    today: date
    midnight: datetime


@dataclass(frozen=True, slots=True)
class Room:
    """A limit of the day: `used` of `limit`."""

    used: int
    limit: int

    def fits(self, units: int) -> bool:
        return units == 0 or self.used + units <= self.limit


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an account does not serve, and until when; None: until a person acts."""

    words: str
    until: datetime | None


Buckets = Mapping[tuple[str, str], Room]  # (project, bucket) -> room
NO_ROOM = Room(0, 0)


def uploads_room(candidate: Candidate, moment: Moment) -> Room:
    """The account's uploads of the day; counters of another day are over."""
    same = candidate.quota_date >= moment.today
    return Room(candidate.uploads_today if same else 0, candidate.upload_limit)


def quota_room(candidate: Candidate, moment: Moment) -> Room:
    """The account's own units of the day."""
    same = candidate.quota_date >= moment.today
    return Room(candidate.quota_used_today if same else 0, candidate.quota_limit)


def obstacles(
    candidate: Candidate,
    need: Need,
    buckets: Buckets,
    moment: Moment,
    held: Sequence[HeldUnits] = (),
) -> list[Obstacle]:
    """All that stands against the account now. `held` are reservations of today whose end would
    give units back."""
    found = [*_standing(candidate, moment), *_health(candidate, moment)]
    return [*found, *capacity_obstacles(candidate, need, buckets, moment, held)]


def capacity_obstacles(
    candidate: Candidate,
    need: Need,
    buckets: Buckets,
    moment: Moment,
    held: Sequence[HeldUnits] = (),
) -> list[Obstacle]:
    """What limits stand against the account, whatever its standing."""
    mine = [each for each in held if each.account_id == candidate.id]
    rooms = [
        (
            f"{candidate.email} has used {{used}} of its {{limit}} uploads of the day",
            uploads_room(candidate, moment),
            need.uploads,
            [(each.expires_at, each.uploads) for each in mine],
        )
    ]
    if candidate.project is not None:
        rooms.append(
            (
                f"{candidate.email} has used {{used}} of its {{limit}} units of the day",
                quota_room(candidate, moment),
                need.default_units,
                [(each.expires_at, each.units.get(DEFAULT_BUCKET, 0)) for each in mine],
            )
        )
        ours = [each for each in held if each.project == candidate.project]
        told = "project {project} has used {{used}} of its {{limit}} {bucket} units of the day"
        rooms += [
            (
                told.format(project=candidate.project, bucket=bucket),
                buckets.get((candidate.project, bucket), NO_ROOM),
                units,
                [(each.expires_at, each.units.get(bucket, 0)) for each in ours],
            )
            for bucket, units in sorted(need.units.items())
        ]
    found = []
    for words, room, units, returning in rooms:
        if not room.fits(units):
            until = capacity_at(room, units, returning, moment)
            found.append(Obstacle(words.format(used=room.used, limit=room.limit), until))
    return found


def capacity_at(
    room: Room, units: int, returning: Iterable[tuple[datetime, int]], moment: Moment
) -> datetime | None:
    """When the units fit: now, when enough reservations have ended, or with the next day; None when
    a whole day is too small for them."""
    if room.fits(units):
        return moment.now
    if units > room.limit:
        return None
    used = room.used
    for at, back in sorted(returning):
        used -= back
        if at < moment.midnight and used + units <= room.limit:
            return max(at, moment.now)
    return moment.midnight


def next_chance(found: Iterable[Obstacle], moment: Moment) -> datetime | None:
    """When the last of the obstacles is over by itself; None: not before a person acts."""
    latest = moment.now
    for obstacle in found:
        if obstacle.until is None:
            return None
        latest = max(latest, obstacle.until)
    return latest


def in_order(
    candidates: Iterable[Candidate], moment: Moment, *, preferred: UUID | None = None
) -> list[Candidate]:
    """The best first: the channel's own account, primaries before reserves, the healthiest (to
    whole points), and the one whose last upload is longest ago."""

    def rank(candidate: Candidate) -> tuple[object, ...]:
        health = health_at(float(candidate.health_score), candidate.health_changed_at, moment.now)
        last = candidate.last_upload_at
        return (
            candidate.id != preferred,
            candidate.is_reserve,
            -round(health),
            last is not None,
            last or moment.now,
            candidate.id,
        )

    return sorted(candidates, key=rank)


def _standing(candidate: Candidate, moment: Moment) -> list[Obstacle]:
    if not candidate.is_active:
        return [Obstacle(f"{candidate.email} is paused", None)]
    if candidate.state not in ("ready", "cooling"):
        return [Obstacle(f"{candidate.email} is {candidate.state}", None)]
    until = candidate.cooldown_until
    if until is not None and until > moment.now:
        return [Obstacle(f"{candidate.email} is cooling", until)]
    return []


def _health(candidate: Candidate, moment: Moment) -> list[Obstacle]:
    score, since = float(candidate.health_score), candidate.health_changed_at
    health = health_at(score, since, moment.now)
    if health >= FLOOR:
        return []
    until = max(reaches_floor_at(score, since), moment.now)
    words = f"{candidate.email} has a health of {health:g}, under {FLOOR:g}"
    return [Obstacle(words, until)]
