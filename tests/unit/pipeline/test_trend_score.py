"""The model of virality and competition: within bounds, and moving the right way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Demand
from pipeline.stages.trend_score import SCALES, Scores, SourceScale, score

counts = st.none() | st.integers(0, 2**62)
parts = st.none() | st.floats(0, 1)
ages = st.none() | st.floats(0, 1e9)
demands = st.builds(Demand, counts, counts, counts, counts, ages, parts)
scales = st.sampled_from(list(SCALES.values()))
GOOGLE = SCALES["google_trends"]


@given(st.builds(Demand, counts, counts, counts, counts, st.floats(), st.floats()), scales)
def test_scores_are_parts_of_one_to_two_places(demand: Demand, scale: SourceScale) -> None:
    scores = score(demand, scale)
    for value in (scores.virality, scores.competition):
        assert 0.0 <= value <= 1.0
        assert value == round(value, 2)


@given(demands, scales, st.integers(0, 2**40), st.integers(0, 2**40))
def test_more_audience_is_never_less_viral_nor_less_crowded(
    demand: Demand, scale: SourceScale, one: int, other: int
) -> None:
    little = score(replace(demand, audience=min(one, other)), scale)
    much = score(replace(demand, audience=max(one, other)), scale)
    assert little.virality <= much.virality
    assert little.competition <= much.competition


@given(demands, scales, st.floats(0, 1e6), st.floats(0, 1e6))
def test_older_is_never_more_viral_nor_less_crowded(
    demand: Demand, scale: SourceScale, one: float, other: float
) -> None:
    young = score(replace(demand, age_hours=min(one, other)), scale)
    old = score(replace(demand, age_hours=max(one, other)), scale)
    assert old.virality <= young.virality
    assert old.competition >= young.competition


@given(demands, scales, st.floats(0, 1), st.floats(0, 1))
def test_further_down_the_list_is_never_more_viral(
    demand: Demand, scale: SourceScale, one: float, other: float
) -> None:
    first = score(replace(demand, place=min(one, other)), scale)
    last = score(replace(demand, place=max(one, other)), scale)
    assert last.virality <= first.virality
    assert last.competition == first.competition


@given(demands, scales, st.integers(0, 2**40), st.integers(0, 2**40))
def test_more_coverage_is_never_less_competition(
    demand: Demand, scale: SourceScale, one: int, other: int
) -> None:
    few = score(replace(demand, coverage=min(one, other)), scale)
    many = score(replace(demand, coverage=max(one, other)), scale)
    assert few.competition <= many.competition
    assert few.virality == many.virality


@pytest.mark.parametrize(
    ("demand", "scores"),
    [
        (Demand(), Scores(0.5, 0.5)),
        (Demand(2_000_000, None, None, 20, 0.0, 0.0), Scores(1.0, 0.8)),
        (Demand(100, None, None, 0, 1e6, 1.0), Scores(0.0, 0.2)),
        (Demand(audience=20_000, coverage=3, age_hours=24.0, place=0.5), Scores(0.52, 0.49)),
    ],
)
def test_known_topics_have_known_scores(demand: Demand, scores: Scores) -> None:
    assert score(demand, GOOGLE) == scores


def test_comments_count_where_there_is_no_audience() -> None:
    quiet, loud = Demand(votes=100, comments=0), Demand(votes=100, comments=300)
    scale = SCALES["hackernews"]
    assert score(quiet, scale).virality < score(loud, scale).virality
