"""The health of an account: what moves it, and how it recovers. Pure.

Health goes from 0 to 100. Trouble takes points, a published video gives some back, and what is
missing halves every `HALF_LIFE`: an old trouble counts less than a new one, and no account is
benched for ever by what it did long ago. The stored score is as old as `health_changed_at`; what it
is worth now is computed when it is read, so that nothing has to run for it to recover.

    published a video               + 5
    YouTube's own trouble (5xx)     - 3   the fifth in a row: 15 minutes of rest as well
    ambiguous refusal (forbidden)   -15   15 minutes of rest
    channel's upload limit          -10   24 hours of rest
    the project's quota is used up    0   rest until midnight Pacific: not the account's doing
    grant revoked, scopes missing   -40   needs_reauth
    no channel, closed, suspended  -100   disabled or suspended

Below `FLOOR` an account takes no new uploads until it has recovered.
"""

import math
from datetime import datetime, timedelta

FULL = 100.0
FLOOR = 20.0
HALF_LIFE = timedelta(hours=24)
GAIN_PUBLISHED = 5.0
RESUMED = 50.0  # an operator who resumes an account has seen to it: it serves at once
ERRORS_IN_A_ROW = 5
ROW_REST = timedelta(minutes=15)


def health_at(score: float, changed_at: datetime, now: datetime) -> float:
    """What a score of `changed_at` is worth at `now`, to the hundredth."""
    half_lives = max((now - changed_at) / HALF_LIFE, 0.0)
    return round(FULL - (FULL - _within(score)) * math.exp2(-half_lives), 2)


def reaches_floor_at(score: float, changed_at: datetime) -> datetime:
    """A moment from which `health_at` is no longer below the floor."""
    missing = FULL - _within(score)
    if missing <= FULL - FLOOR:
        return changed_at
    return changed_at + HALF_LIFE * math.log2(missing / (FULL - FLOOR))


def after_loss(health: float, points: float) -> float:
    """The health after trouble."""
    return _within(round(health - points, 2))


def after_gain(health: float, points: float = GAIN_PUBLISHED) -> float:
    """The health after something went well."""
    return _within(round(health + points, 2))


def _within(score: float) -> float:
    return min(max(score, 0.0), FULL)
