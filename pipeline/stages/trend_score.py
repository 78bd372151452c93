"""How much a topic is wanted, and by how many it is served already: both 0..1, both pure.

Attention is heavy-tailed and its growth multiplicative, so counts are compared by their logarithm;
novelty wears off with a half-life; a source's own order knows more than its numbers tell. The model
and where it comes from: docs/decisions/0071-how-topics-are-scored.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from pipeline.domain import Demand

# What is not known counts as neither good nor bad.
UNKNOWN = 0.5
SIZE, FRESHNESS, PLACE = 0.6, 0.2, 0.2
COVERED, CROWDED, AGED = 0.5, 0.3, 0.2
CROWDED_COVERAGE = 20
COMMENT_WEIGHT = 2


@dataclass(frozen=True, slots=True)
class SourceScale:
    """A source's own measure: what is little and what is most, and how fast interest halves.

    `floor` and `ceiling` are the counts of size 0 and 1: its audience, else its votes.
    """

    floor: int
    ceiling: int
    half_life_hours: float
    keep: timedelta


SCALES: Mapping[str, SourceScale] = MappingProxyType(
    {
        "google_trends": SourceScale(100, 2_000_000, 24.0, timedelta(days=2)),
        "youtube": SourceScale(100_000, 50_000_000, 48.0, timedelta(days=2)),
        "wikimedia": SourceScale(10_000, 2_000_000, 48.0, timedelta(days=4)),
        "hackernews": SourceScale(10, 3_000, 12.0, timedelta(days=2)),
        "reddit": SourceScale(100, 100_000, 12.0, timedelta(days=2)),
    }
)


@dataclass(frozen=True, slots=True)
class Scores:
    """Both in 0..1, to two places, as they are stored."""

    virality: float
    competition: float


def score(demand: Demand, scale: SourceScale) -> Scores:
    """Virality grows with audience, votes and comments, falls with age and place in the list;
    competition grows with coverage, size and age."""
    size = _size(demand, scale)
    freshness = _freshness(demand, scale)
    leading = UNKNOWN if demand.place is None else 1.0 - _part(demand.place)
    covered = (
        UNKNOWN
        if demand.coverage is None
        else _part(math.log1p(max(demand.coverage, 0)) / math.log1p(CROWDED_COVERAGE))
    )
    virality = SIZE * size + FRESHNESS * freshness + PLACE * leading
    competition = COVERED * covered + CROWDED * size + AGED * (1.0 - freshness)
    return Scores(round(_part(virality), 2), round(_part(competition), 2))


def _size(demand: Demand, scale: SourceScale) -> float:
    count = demand.audience
    if count is None and demand.votes is not None:
        # A comment is more work than a vote, and says as much of the interest as two.
        count = demand.votes + COMMENT_WEIGHT * (demand.comments or 0)
    if count is None:
        return UNKNOWN
    if count <= scale.floor:
        return 0.0
    return _part(math.log(count / scale.floor) / math.log(scale.ceiling / scale.floor))


def _freshness(demand: Demand, scale: SourceScale) -> float:
    if demand.age_hours is None or math.isnan(demand.age_hours):
        return UNKNOWN
    return math.exp2(-max(demand.age_hours, 0.0) / scale.half_life_hours)


def _part(value: float) -> float:
    return UNKNOWN if math.isnan(value) else min(max(value, 0.0), 1.0)
