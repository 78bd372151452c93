"""What every source of topics keeps to, vendors over HTTP; and what none of them falls for."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from pipeline.domain import FoundTopic
from pipeline.errors import Rejected, StageError, Transient, Waiting
from pipeline.ports import TrendSource
from pipeline.providers.fetching import new_client
from pipeline.providers.topics import TopicsFile
from pipeline.providers.trends_feed import FeedReader
from pipeline.providers.trends_google import GoogleTrends
from pipeline.providers.trends_hackernews import HackerNews
from pipeline.providers.trends_reddit import Reddit, RedditOptions
from pipeline.providers.trends_wikimedia import Wikimedia
from pipeline.stages.topic_text import clean_topic, normalise_topic
from tests.services.feeds_server import REDDIT_ID, REDDIT_SECRET, TOKEN, FeedsServer
from tests.services.local_http import Reply, as_json
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_tokens import youtube_popular
from tests.services.youtube_world import World, charted

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FEEDS = ("google_trends", "hackernews", "wikimedia", "reddit")
# The answer that decides whether a feed can be read at all.
MAIN = {
    "google_trends": "/trending/rss",
    "hackernews": "/v0/topstories.json",
    "wikimedia": "/api/rest_v1/metrics/pageviews/top/en.wikipedia/all-access/2026/11/19",
    "reddit": "/r/popular/hot",
}
Make = Callable[[str], TrendSource]


@pytest.fixture
def server() -> Iterator[FeedsServer]:
    with FeedsServer(NOW) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with new_client() as opened:
        yield opened


@pytest.fixture
def youtube() -> Iterator[YouTubeServer]:
    with YouTubeServer(World(clock=lambda: NOW)) as running:
        running.world.charts["GB"] = [
            charted("v1", "The Song", viewCount=5_000_000),
            charted("v2", "the  song!", viewCount=9),
            charted("v3", "\u202eThe Film\x00", viewCount=7),
        ]
        yield running


@pytest.fixture
def make(
    server: FeedsServer, youtube: YouTubeServer, client: httpx.AsyncClient, tmp_path: Path
) -> Make:
    def source(name: str) -> TrendSource:
        reader = FeedReader(client, name)
        match name:
            case "google_trends":
                return GoogleTrends(reader, server.google_url, clock=lambda: NOW)
            case "hackernews":
                return HackerNews(reader, server.hackernews_url, clock=lambda: NOW)
            case "wikimedia":
                return Wikimedia(
                    reader, server.wikimedia_url, languages=["en-GB"], clock=lambda: NOW
                )
            case "reddit":
                return Reddit(reader, reddit(server), clock=lambda: NOW)
            case "youtube":
                return youtube_popular(youtube, "en-GB", now=NOW)
            case _:
                file = tmp_path / "topics.csv"
                file.write_text("topic,facts\nThe Moon,It has no air.|It drifts away.\n")
                return TopicsFile(file)

    return source


def reddit(server: FeedsServer, secret: str = REDDIT_SECRET) -> RedditOptions:
    token_url = f"{server.root}/api/v1/access_token"
    return RedditOptions(REDDIT_ID, secret, token_url=token_url, api_url=server.root)


async def by_topic(source: TrendSource) -> dict[str, FoundTopic]:
    return {found.topic.topic: found for found in await source.topics()}


@pytest.mark.parametrize("name", [*FEEDS, "youtube", "custom"])
async def test_topics_are_clean_and_none_is_there_twice(make: Make, name: str) -> None:
    source = make(name)
    found = await source.topics()
    assert source.name == name
    assert found
    assert [clean_topic(item.topic) for item in found] == [item.topic for item in found]
    assert len({normalise_topic(item.topic.topic) for item in found}) == len(found)
    assert all(set(item.fact_urls) <= set(item.topic.facts) for item in found)
    assert await source.topics() == found


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_source_that_is_away_is_transient_and_its_wish_is_kept(
    make: Make, server: FeedsServer, name: str, status: int
) -> None:
    server.faults[MAIN[name]] = Reply(status, b"", "text/html", {"Retry_After": "77"})
    with pytest.raises(Transient, match=name) as caught:
        await make(name).topics()
    assert caught.value.retry_after == 77


GARBAGE = {
    "web page": Reply(200, b"<!doctype html><p>Log in to the hotel's network", "text/html"),
    "nothing": Reply(200, b""),
    "half": Reply(200, b'[{"id":'),
    "deep": Reply(200, b"[" * 200_000),
    "NaN": Reply(200, b"NaN"),
    "not text": Reply(200, b"\xff\xfe\x00\x01\x80"),
    "other JSON": as_json({"hello": "world"}),
    "a number": as_json(7),
    "a list of lists": as_json([[]]),
    "damaged gzip": Reply(200, b"no gzip", headers={"Content_Encoding": "gzip"}),
    "cut gzip": Reply(200, gzip.compress(b"[1]")[:-4], headers={"Content_Encoding": "gzip"}),
    "cut off": Reply(200, b"[", length=100),
}


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_transient_and_says_whose_it_is(
    make: Make, server: FeedsServer, name: str, garbage: str
) -> None:
    server.faults[MAIN[name]] = GARBAGE[garbage]
    if (name, garbage) == ("hackernews", "a list of lists"):
        assert await make(name).topics() == ()
        return
    with pytest.raises(Transient, match=f"{name}|127.0.0.1"):
        await make(name).topics()


HOSTILE = {
    "gzip bomb": Reply(200, gzip.compress(bytes(50_000_000)), headers={"Content_Encoding": "gzip"}),
    "too large": Reply(200, b" " * 6_000_000),
    "too large by its own word": Reply(200, b"[]", length=10**12),
    "unasked coding": Reply(200, b"[]", headers={"Content_Encoding": "br"}),
    "redirect": Reply(302, b"", headers={"Location": "http://169.254.169.254/latest/meta-data"}),
}


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize("attack", HOSTILE)
async def test_what_no_honest_source_sends_is_rejected(
    make: Make, server: FeedsServer, name: str, attack: str
) -> None:
    server.faults[MAIN[name]] = HOSTILE[attack]
    with pytest.raises(Rejected):
        await make(name).topics()


async def test_google_tells_traffic_reports_and_facts_with_their_addresses(make: Make) -> None:
    found = await by_topic(make("google_trends"))
    assert list(found) == ["octopus", "rain <b>today</b>"]  # OCTOPUS! is the first one again
    octopus = found["octopus"]
    assert octopus.topic.facts == (
        "An octopus opened a jar from the inside & ate the crab.",
        "Two of the three hearts of an octopus serve its gills.",
        "Octopus opens a jar at the aquarium.",
        "Why octopuses have three hearts.",
    )
    assert octopus.fact_urls[octopus.topic.facts[1]] == "https://news.example/hearts"
    assert octopus.topic.source_url == "https://news.example/octopus-jar"
    assert octopus.topic.language == "en"
    assert octopus.demand.audience == 2_000_000
    assert octopus.demand.coverage == 2
    assert octopus.demand.age_hours == pytest.approx(3)
    assert found["rain <b>today</b>"].topic.facts == ()  # one word states nothing
    assert found["rain <b>today</b>"].demand.audience == 5_000


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a;" * 10) for n in range(9))
    + b"]><rss><channel><item><title>&a8;</title></item></channel></rss>"
)
EXTERNAL = b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss>&x;</rss>'


@pytest.mark.parametrize("feed", [BOMB, EXTERNAL], ids=["entity bomb", "external entity"])
async def test_google_feed_with_entities_is_rejected(
    make: Make, server: FeedsServer, feed: bytes
) -> None:
    server.faults[MAIN["google_trends"]] = Reply(200, feed, "application/xml")
    with pytest.raises(Rejected, match="entities"):
        await make("google_trends").topics()


@pytest.mark.parametrize(
    "feed",
    [
        b'<?xml version="1.0" encoding="no-such-code"?><rss/>',
        '<?xml version="1.0" encoding="utf-8"?><rss>é</rss>'.encode("latin-1"),
        b"<rss><channel>",
        b"<feed/>",
    ],
)
async def test_google_feed_that_is_none_is_transient(
    make: Make, server: FeedsServer, feed: bytes
) -> None:
    server.faults[MAIN["google_trends"]] = Reply(200, feed, "application/xml")
    with pytest.raises(Transient, match="google_trends"):
        await make("google_trends").topics()


async def test_google_feed_is_read_in_the_encoding_it_declares(
    make: Make, server: FeedsServer
) -> None:
    feed = '<?xml version="1.0" encoding="iso-8859-1"?><rss><item><title>Zoë</title></item></rss>'
    server.faults[MAIN["google_trends"]] = Reply(200, feed.encode("latin-1"), "application/xml")
    assert list(await by_topic(make("google_trends"))) == ["Zoë"]


async def test_google_feed_of_many_items_is_capped(make: Make, server: FeedsServer) -> None:
    items = "".join(f"<item><title>Topic {n}</title></item>" for n in range(5_000))
    server.faults[MAIN["google_trends"]] = Reply(
        200, f"<rss>{items}</rss>".encode(), "application/xml"
    )
    assert len(await make("google_trends").topics()) == 100


@pytest.mark.parametrize(
    ("address", "language"),
    [("?geo=US", "en"), ("?geo=BR", "pt"), ("?geo=CH&hl=fr", "fr"), ("", "en")],
)
async def test_google_feed_has_the_language_of_its_address(
    server: FeedsServer, client: httpx.AsyncClient, address: str, language: str
) -> None:
    url = f"{server.root}/trending/rss{address}"
    source = GoogleTrends(FeedReader(client, "google_trends"), url, clock=lambda: NOW)
    feed = b"<rss><item><title>x</title></item></rss>"
    server.faults[MAIN["google_trends"]] = Reply(200, feed, "application/xml")
    (found,) = await source.topics()
    assert found.topic.language == language


def test_google_feed_of_an_unknown_language_is_refused(client: httpx.AsyncClient) -> None:
    with pytest.raises(ValueError, match="hl="):
        GoogleTrends(FeedReader(client, "google_trends"), "https://x/rss?geo=ZZ", clock=lambda: NOW)


async def test_hackernews_tells_titles_votes_and_age_but_no_facts(make: Make) -> None:
    found = await by_topic(make("hackernews"))
    assert list(found) == ["A database in a browser", "Ask HN: how do you sleep?"]
    story = found["A database in a browser"]
    assert story.topic.facts == ()
    assert story.topic.source_url == "https://example.org/db"
    assert story.topic.niche == "technology"
    assert (story.demand.votes, story.demand.comments) == (420, 99)
    assert story.demand.age_hours == pytest.approx(2)
    asked = found["Ask HN: how do you sleep?"]
    assert asked.topic.source_url == "https://news.ycombinator.com/item?id=103"


async def test_hackernews_story_that_cannot_be_read_costs_itself(
    make: Make, server: FeedsServer
) -> None:
    server.faults["/v0/item/101.json"] = Reply(500)
    assert list(await by_topic(make("hackernews"))) == ["Ask HN: how do you sleep?"]


async def test_hackernews_without_any_readable_story_is_transient(
    make: Make, server: FeedsServer
) -> None:
    for number in (101, 102, 103, 104):
        server.faults[f"/v0/item/{number}.json"] = Reply(500)
    with pytest.raises(Transient):
        await make("hackernews").topics()


async def test_wikimedia_tells_views_and_the_summary_as_facts(
    make: Make, server: FeedsServer
) -> None:
    found = await by_topic(make("wikimedia"))
    assert list(found) == ["Octopus", "Dune: Part Two", "Bad/Title?"]
    octopus = found["Octopus"]
    assert octopus.topic.facts[1] == "It has three hearts and blue blood."
    assert set(octopus.fact_urls.values()) == {"https://en.wikipedia.org/wiki/Octopus"}
    assert octopus.demand.audience == 800_000
    assert found["Dune: Part Two"].topic.facts == ()
    assert "/api/rest_v1/page/summary/Bad%2FTitle%3F" in server.paths()


async def test_wikimedia_looks_at_the_day_before_until_yesterday_is_ready(
    make: Make, server: FeedsServer
) -> None:
    server.days_late = 2
    assert "Octopus" in await by_topic(make("wikimedia"))
    days = [path[-10:] for path in server.paths() if "pageviews" in path]
    assert days == ["2026/11/19", "2026/11/18"]


async def test_wikimedia_without_any_day_comes_back_later(make: Make, server: FeedsServer) -> None:
    server.days_late = 9
    with pytest.raises(Transient, match="no page views") as caught:
        await make("wikimedia").topics()
    assert caught.value.retry_after == 3600


async def test_wikimedia_reads_each_language_of_the_channels(
    server: FeedsServer, client: httpx.AsyncClient
) -> None:
    source = Wikimedia(
        FeedReader(client, "wikimedia"),
        server.wikimedia_url,
        languages=["de", "pt-BR", "../../x"],
        clock=lambda: NOW,
    )
    await source.topics()
    asked = [path for path in server.paths() if "pageviews" in path]
    assert [path.split("/")[6] for path in asked] == ["de.wikipedia", "pt.wikipedia"]


async def test_reddit_asks_with_its_app_and_leaves_out_what_is_not_for_everyone(make: Make) -> None:
    found = await by_topic(make("reddit"))
    assert list(found) == ["A cat learned to open doors"]
    assert found["A cat learned to open doors"].demand.votes == 40_000


async def test_reddit_with_wrong_credentials_waits_for_a_person_and_tells_no_secret(
    server: FeedsServer, client: httpx.AsyncClient
) -> None:
    source = Reddit(
        FeedReader(client, "reddit"), reddit(server, "wrong-hush-hush"), clock=lambda: NOW
    )
    with pytest.raises(Waiting, match="REDDIT_CLIENT_SECRET") as caught:
        await source.topics()
    assert "hush" not in str(caught.value) + repr(reddit(server))


async def test_no_error_shows_a_token(make: Make, server: FeedsServer) -> None:
    for reply in (Reply(500), GARBAGE["web page"], HOSTILE["too large"]):
        server.faults[MAIN["reddit"]] = reply
        with pytest.raises(StageError) as caught:
            await make("reddit").topics()
        assert TOKEN not in str(caught.value)


async def test_server_that_is_not_there_is_transient(client: httpx.AsyncClient) -> None:
    with FeedsServer(NOW) as gone:
        url = gone.hackernews_url
    with pytest.raises(Transient, match="ConnectError"):
        await HackerNews(FeedReader(client, "hackernews"), url, clock=lambda: NOW).topics()


async def test_items_of_hostile_shape_are_left_out(make: Make, server: FeedsServer) -> None:
    shapes: list[object] = [
        None, [], "x", {"type": "story"}, {"type": "story", "title": 7},
        {"type": "story", "title": "\u202e\u0000 "}, {"type": "story", "title": "x" * 10_000},
        {"type": "story", "title": "Good", "url": "javascript:alert(1)", "id": "x", "score": -5,
         "time": "yesterday", "descendants": 10**40},
    ]  # fmt: skip
    server.faults[MAIN["hackernews"]] = as_json([*range(len(shapes)), "1", None, -1, 2.5, True])
    for number, shape in enumerate(shapes):
        body = json.dumps(shape).encode()
        server.faults[f"/v0/item/{number}.json"] = Reply(200, body)
    (found,) = await make("hackernews").topics()
    assert found.topic.topic == "Good"
    assert found.topic.source_url == "https://news.ycombinator.com/item?id=7"
    assert (found.demand.votes, found.demand.comments, found.demand.age_hours) == (None, None, None)
