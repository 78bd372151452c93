"""Which topic is chosen, and what is said when none is left."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from pipeline.domain import Topic, Trend
from pipeline.errors import Rejected
from pipeline.stages.trend import pick_topic
from tests.unit.pipeline.fakes import CHANNEL, NOW


def trend(number: int, topic: str, opportunity: float = 0.5, **changed: str | None) -> Trend:
    value = replace(Topic(topic, ("A fact.",), niche="space"), **changed)
    return Trend(UUID(int=number), value, "custom", opportunity, NOW + timedelta(hours=number))


async def picked(*candidates: Trend, recent: tuple[str, ...] = (), **channel: str | None) -> str:
    pick = await pick_topic(None, candidates, channel=replace(CHANNEL, **channel), recent=recent)
    assert pick.trend is not None
    return pick.topic.topic


async def test_topic_asked_for_wins_over_every_candidate() -> None:
    asked = Topic("My\u202e own\n topic", ("It is mine.",))
    pick = await pick_topic(
        asked, [trend(1, "Mars", 1.0)], channel=CHANNEL, recent=["my own topic"]
    )
    assert pick.topic.topic == "My own topic"
    assert pick.trend is None


async def test_best_opportunity_wins_and_the_first_of_two_equals() -> None:
    assert await picked(trend(1, "Mars", 0.4), trend(2, "Venus", 0.9)) == "Venus"
    assert await picked(trend(2, "Venus", 0.4), trend(1, "Mars", 0.4)) == "Venus"


async def test_topics_made_recently_are_skipped_in_any_spelling() -> None:
    candidates = trend(1, "Café Life!", 0.9), trend(2, "Venus", 0.1)
    assert await picked(*candidates, recent=("CAFE  life",)) == "Venus"


async def test_language_decides_by_its_primary_tag() -> None:
    candidates = trend(1, "Marte", 0.9, language="es-MX"), trend(2, "Venus", language="en-GB")
    assert await picked(*candidates, language="en-US") == "Venus"
    assert await picked(*candidates, language="es") == "Marte"


async def test_niche_decides_only_where_both_have_one() -> None:
    candidates = trend(1, "Bees", 0.9, niche="nature"), trend(2, "Venus", 0.1)
    assert await picked(*candidates) == "Bees"
    assert await picked(*candidates, niche="Space") == "Venus"
    assert await picked(trend(3, "Anything", niche=None), niche="space") == "Anything"


async def test_feeds_topic_of_the_niche_comes_before_a_hotter_one_of_no_niche() -> None:
    def fed(number: int, topic: str, opportunity: float, *facts: str) -> Trend:
        offered = trend(number, topic, opportunity, niche=None)
        return replace(
            offered, source="google_trends", topic=replace(offered.topic, facts=("A fact.", *facts))
        )

    hot, told = fed(1, "The cup final", 0.9), fed(2, "Artemis", 0.1, "It flies into deep SPACE.")
    assert await picked(hot, told, niche="space") == "Artemis"
    assert await picked(hot, told) == "The cup final"
    assert await picked(hot, niche="space") == "The cup final"
    own = trend(3, "My own", 0.5, niche=None)
    assert await picked(hot, told, own, niche="space") == "My own"


@pytest.mark.parametrize(
    ("candidates", "recent", "said"),
    [
        ((), (), "no topic is stored"),
        (
            (trend(1, "Marte", language="es"),),
            (),
            "none of the 1 stored topics is in language 'en'",
        ),
        ((trend(1, "Mars"),), ("mars",), "all 1 stored topics"),
    ],
)
async def test_nothing_left_says_why_and_what_to_do(
    candidates: tuple[Trend, ...], recent: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Rejected, match="ytempire trend import FILE") as caught:
        await pick_topic(None, candidates, channel=CHANNEL, recent=recent)
    assert said in str(caught.value)
