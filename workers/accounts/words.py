"""What is known of an account, in the operator's words."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from db.repositories.accounts import AccountRow
from workers.accounts.health import FLOOR, FULL, health_at, reaches_floor_at

STEADY = 0.5  # a day's change of health under this is none
TREND = timedelta(hours=24)

_ERRORS: Mapping[str, str] = {
    "transient_error": "YouTube had trouble of its own",
    "cooled": "its channel may upload no more for a day",
    "project_benched": "the quota of its Cloud project was used up",
    "needs_reauth": "its grant does not work any more",
    "disabled": "it has no channel to upload to, or another one",
    "suspended": "YouTube closed or suspended it",
    "refused": "YouTube forbade the request without a clear reason",
    "misconfigured": "an API is not enabled in its Cloud project",
}


def health_of(row: AccountRow) -> float:
    """What its health is worth now."""
    return health_at(float(row.health_score), row.health_changed_at, row.now)


def trend_of(row: AccountRow) -> float:
    """By how many points its health changed within the last 24 hours."""
    day_ago = row.now - TREND
    past = FULL
    if row.past_health is not None and row.past_at is not None:
        past = health_at(float(row.past_health), row.past_at, day_ago)
    return round(health_of(row) - past, 2)


def state_of(row: AccountRow) -> str:
    """`paused`, or the account's state; a cooling that is over is none."""
    if not row.is_active:
        return "paused"
    over = row.cooldown_until is None or row.cooldown_until <= row.now
    return "ready" if row.state == "cooling" and over else row.state


def state_words(row: AccountRow) -> str:
    """The state, with its end if it ends by itself."""
    state = state_of(row)
    if state == "cooling" and row.cooldown_until is not None:
        return f"cooling, {span(row.cooldown_until - row.now)} left"
    if state == "ready" and health_of(row) < FLOOR:
        until = reaches_floor_at(float(row.health_score), row.health_changed_at)
        return f"recovering, {span(until - row.now)} left"
    return state


def action_for(row: AccountRow) -> str | None:
    """What the operator must do for the account to serve; None: nothing."""
    return {
        "paused": f"ytempire account resume {row.email}",
        "needs_reauth": f"ytempire account authorize --email {row.email}",
        "disabled": "see at YouTube which channel it has, then"
        f" ytempire account authorize --email {row.email}",
        "suspended": f"see to it at YouTube, then ytempire account resume {row.email}",
    }.get(state_of(row))


def error_words(row: AccountRow) -> str | None:
    """Its last trouble."""
    if row.error_event is None or row.error_at is None:
        return None
    words = _ERRORS.get(row.error_event, row.error_event)
    named = f" ({row.error_reason})" if row.error_reason else ""
    return f"{words}{named}, {span(row.now - row.error_at)} ago"


def span(time: timedelta) -> str:
    """About how long: two units at most."""
    minutes = max(round(time.total_seconds() / 60), 0)
    if minutes < 1:
        return "under 1 min"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
