"""YouTube's chart as a source of topics: its price, its facts, and what it does not fall for."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pipeline.errors import Deferred, Rejected, Transient, Waiting
from pipeline.hosting import AccountEffect
from pipeline.providers.writer_phrases import PHRASES
from pipeline.providers.youtube_calls import YouTubeCalls
from pipeline.providers.youtube_facts import video_facts
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_tokens import youtube_popular
from tests.services.youtube_world import Fault, World, charted

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WATCH = "https://www.youtube.com/watch?v="


@pytest.fixture
def youtube() -> Iterator[YouTubeServer]:
    with YouTubeServer(World(clock=lambda: NOW)) as server:
        server.world.charts["US"] = [
            charted("v1", "The Song {x}", viewCount=5_432_100, likeCount=1_000, commentCount=7),
            charted("v2", "The Hidden One"),
        ]
        yield server


async def test_topic_states_what_youtube_counts_with_its_address(youtube: YouTubeServer) -> None:
    first, second = await youtube_popular(youtube, "en", now=NOW).topics()
    topic = first.topic
    assert (topic.topic, topic.niche, topic.language) == ("The Song {x}", "music", "en")
    assert topic.source_url == WATCH + "v1"
    assert topic.facts == (
        "“The Song {x}” was published on YouTube by A Star on 18 November 2026.",
        "On 20 November 2026 it was one of the most popular videos on YouTube.",
        "By 20 November 2026 it had been watched 5,432,100 times.",
        "By 20 November 2026 it had been liked 1,000 times.",
    )
    assert set(first.fact_urls.values()) == {WATCH + "v1"}
    demand = first.demand
    assert (demand.audience, demand.votes, demand.comments) == (5_432_100, 1_000, 7)
    assert demand.age_hours == pytest.approx(43, abs=0.1)
    assert (demand.place, second.demand.place) == (0, 0.5)
    assert len(second.topic.facts) == 2
    assert second.demand.audience is None


async def test_each_language_is_one_page_of_one_country_and_one_unit(
    youtube: YouTubeServer,
) -> None:
    for country in ("GB", "BR", "DE"):
        youtube.world.charts[country] = [charted(f"v{country}", country, viewCount=1)]
    languages = ("en-GB", "pt", "de_DE", "en-GB", "fr", "sw")
    found = await youtube_popular(youtube, *languages, now=NOW).topics()
    assert [(f.topic.topic, f.topic.language) for f in found] == [
        ("GB", "en-GB"), ("BR", "pt"), ("DE", "de-DE"),
    ]  # fmt: skip
    assert "publicado no YouTube" in found[1].topic.facts[0]
    assert len(youtube.asked("videos.list")) == 3
    assert sum(youtube.world.used.values()) == 3


def test_facts_are_told_in_every_language_of_the_template_writer() -> None:
    told = {
        tuple(
            video_facts(
                language, title="T", channel="C", since=NOW.date(), today=NOW.date(), views=1,
                likes=1,
            )
        )
        for language in PHRASES
    }  # fmt: skip
    assert {len(facts) for facts in told} == {4}
    assert len(told) == len(PHRASES)


async def test_language_without_facts_is_an_idea(youtube: YouTubeServer) -> None:
    youtube.world.charts["JP"] = [charted("v1", "歌", viewCount=5)]
    (found,) = await youtube_popular(youtube, "ja", now=NOW).topics()
    assert (found.topic.topic, found.topic.facts) == ("歌", ())


async def test_languages_of_no_known_country_are_refused_with_what_to_do() -> None:
    async def open_calls() -> YouTubeCalls:
        raise AssertionError("nobody is asked")

    from pipeline.providers.trends_youtube import YouTubePopular

    source = YouTubePopular(open_calls, languages=["sw"], clock=lambda: NOW)
    with pytest.raises(Rejected, match="sw-KE"):
        await source.topics()


async def test_items_of_hostile_shape_are_left_out(youtube: YouTubeServer) -> None:
    odd = charted("v9", "Odd counts")
    odd["statistics"] = {"viewCount": "9" * 5_000, "likeCount": -1, "commentCount": "٣"}
    broken = [charted(f"b{n}", "x") for n in range(5)]
    broken[0]["snippet"]["publishedAt"] = "yesterday"
    broken[1]["id"] = "x&list=javascript:alert(1)"
    broken[2]["snippet"]["title"] = ["x"]
    broken[3]["snippet"]["title"] = "\u202e\u0000"
    del broken[4]["snippet"]["channelTitle"]
    youtube.world.charts["US"] = [None, 7, [], {}, {"id": "x"}, *broken, odd]
    youtube.world.charts["US"].append(charted("v1", "Good " * 100, viewCount=2**70))
    (found,) = await youtube_popular(youtube, "en", now=NOW).topics()
    assert found.topic.topic == ("Good " * 100)[:200].strip()
    assert found.demand.audience is None


async def test_refusals_mean_what_the_table_of_youtubes_errors_says(youtube: YouTubeServer) -> None:
    source = youtube_popular(youtube, "en", now=NOW)
    youtube.world.faults = [Fault("videos.list", status=403, reason="quotaExceeded")]
    with pytest.raises(Deferred) as deferred:
        await source.topics()
    assert deferred.value.trouble is not None
    assert deferred.value.trouble.effect is AccountEffect.BENCH
    for fault in (
        Fault("videos.list", kind="garbage"),
        Fault("videos.list", kind="cut", times=9),
        Fault("videos.list", status=200, body="[]"),
        Fault("videos.list", status=200, body='{"items": {}}'),
        Fault("videos.list", status=200, body='{"kind": "youtube#videoListResponse"}'),
        Fault("videos.list", status=503),
    ):
        youtube.world.faults = [fault]
        with pytest.raises(Transient):
            await source.topics()
    youtube.world.accounts.clear()
    youtube.world.tokens.clear()
    with pytest.raises(Waiting):
        await source.topics()
