"""Feeds become trends: once each, whoever reads them at the same time, and for a while only."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from db.repositories.trends import Trends
from pipeline.domain import Demand, FoundTopic, Topic
from tests.services.feeds_server import FeedsServer
from tests.services.local_http import Reply
from workers.ingest import (
    chosen_feeds,
    due_feeds,
    expire_trends,
    ingest,
    store_found,
)
from workers.registry import FEEDS
from workers.settings import Settings, SettingsError

FACTS = ("It has three hearts.", "Its blood is blue.")
OCTOPUS = FoundTopic(
    Topic("The Octopus", FACTS, "https://e.org/o"), Demand(audience=9_000), {FACTS[0]: "https://e"}
)
ALL = ("google_trends", "hackernews", "wikimedia")


@pytest.fixture
def server() -> Iterator[FeedsServer]:
    with FeedsServer(datetime.now(UTC)) as running:
        yield running


def settings_for(server: FeedsServer) -> Settings:
    return Settings.from_env(
        {
            "YTEMPIRE_TREND_SOURCES": ",".join(("custom", *ALL)),
            "YTEMPIRE_GOOGLE_TRENDS_URL": server.google_url,
            "YTEMPIRE_HACKERNEWS_URL": server.hackernews_url,
            "YTEMPIRE_WIKIMEDIA_URL": server.wikimedia_url,
        }
    )


async def rows(pool: asyncpg.Pool) -> list[Any]:
    found: list[Any] = await pool.fetch("SELECT * FROM trends ORDER BY source, topic_normalized")
    return found


async def test_feeds_are_stored_with_scores_facts_addresses_and_an_end(
    pool: asyncpg.Pool, server: FeedsServer
) -> None:
    settings = settings_for(server)
    results = await ingest(pool, settings, chosen_feeds(settings))
    assert [(r.source, r.found, r.added, r.qualified, r.error) for r in results] == [
        ("google_trends", 2, 2, 1, None),
        ("hackernews", 2, 2, 0, None),
        ("wikimedia", 3, 3, 1, None),
    ]
    stored = {(row["source"], row["topic"]): row for row in await rows(pool)}
    octopus = stored["google_trends", "octopus"]
    assert octopus["status"] == "qualified"
    assert octopus["search_volume"] == 2_000_000
    assert octopus["viral_score"] > octopus["competition_score"] > 0
    assert len(octopus["source_metadata"]["facts"]) == 4
    assert octopus["source_metadata"]["fact_urls"][0] == "https://news.example/octopus-jar"
    assert octopus["expiry_time"] > octopus["first_detected"]
    # A title alone is a topic, but nothing that a script may state.
    assert stored["hackernews", "A database in a browser"]["status"] == "new"

    again = await ingest(pool, settings, chosen_feeds(settings))
    assert [(r.added, r.updated) for r in again] == [(0, 2), (0, 2), (0, 3)]
    assert len(await rows(pool)) == 7


async def test_feed_that_fails_stops_no_other(pool: asyncpg.Pool, server: FeedsServer) -> None:
    server.faults["/v0/topstories.json"] = Reply(500)
    results = await ingest(pool, settings_for(server), ALL)
    assert [r.source for r in results if r.error] == ["hackernews"]
    assert {row["source"] for row in await rows(pool)} == {"google_trends", "wikimedia"}


async def test_feed_without_its_key_is_refused_before_anything_is_read(
    pool: asyncpg.Pool, server: FeedsServer
) -> None:
    with pytest.raises(SettingsError, match="REDDIT_CLIENT_ID"):
        await ingest(pool, settings_for(server), ("google_trends", "reddit"))
    assert server.journal == []


async def test_two_that_read_the_same_feed_store_each_topic_once(pool: asyncpg.Pool) -> None:
    found = [
        replace(OCTOPUS, topic=replace(OCTOPUS.topic, topic=f"Topic {number}"))
        for number in range(40)
    ]
    results = await asyncio.gather(
        *(store_found(pool, "reddit", order) for order in (found, found[::-1]) * 3)
    )
    assert sum(r.added for r in results) == 40
    assert sum(r.updated for r in results) == 200
    assert len(await rows(pool)) == 40


async def test_topic_offered_without_its_facts_keeps_those_it_has(pool: asyncpg.Pool) -> None:
    bare = replace(
        OCTOPUS, topic=replace(OCTOPUS.topic, facts=()), demand=Demand(audience=1_000_000)
    )
    await store_found(pool, "wikimedia", [bare])
    assert (await rows(pool))[0]["status"] == "new"
    await store_found(pool, "wikimedia", [OCTOPUS])
    await store_found(pool, "wikimedia", [bare])
    (row,) = await rows(pool)
    assert row["status"] == "qualified"
    assert row["source_metadata"]["facts"] == list(FACTS)
    assert row["search_volume"] == 1_000_000


async def test_topic_made_lately_is_not_offered_again(pool: asyncpg.Pool) -> None:
    await store_found(pool, "wikimedia", [OCTOPUS])
    async with pool.acquire() as connection:
        (row,) = await Trends(connection).list_qualified(language="en", niche=None, limit=9)
        assert await Trends(connection).use(trend_id=row.id)
    result = await store_found(pool, "wikimedia", [OCTOPUS])
    assert (result.added, result.updated, result.left_out) == (0, 0, 1)
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE trends DISABLE TRIGGER trg_trends_updated_at")
        await connection.execute("UPDATE trends SET updated_at = now() - interval '91 days'")
    assert (await store_found(pool, "wikimedia", [OCTOPUS])).added == 1


async def test_same_words_of_another_language_change_nothing(pool: asyncpg.Pool) -> None:
    await store_found(pool, "wikimedia", [OCTOPUS])
    french = replace(OCTOPUS, topic=replace(OCTOPUS.topic, language="fr"))
    assert (await store_found(pool, "wikimedia", [french])).left_out == 1
    assert (await rows(pool))[0]["source_metadata"]["language"] == "en"


async def test_topics_whose_time_is_over_are_marked_and_may_come_again(pool: asyncpg.Pool) -> None:
    await store_found(pool, "wikimedia", [OCTOPUS])
    assert await expire_trends(pool) == 0
    await pool.execute("UPDATE trends SET expiry_time = clock_timestamp()")
    async with pool.acquire() as connection:
        assert await Trends(connection).list_qualified(language="en", niche=None, limit=9) == []
    assert await expire_trends(pool) == 1
    assert (await rows(pool))[0]["status"] == "expired"
    assert (await store_found(pool, "wikimedia", [OCTOPUS])).added == 1


async def test_what_suits_a_channel_is_listed_before_what_does_not(pool: asyncpg.Pool) -> None:
    for number, (language, niche) in enumerate([("fr", None), ("en", "cars"), ("en-GB", "Space")]):
        topic = Topic(f"Topic {number}", FACTS, niche=niche, language=language)
        await store_found(
            pool, "wikimedia", [FoundTopic(topic, Demand(audience=10**6 // 4**number))]
        )
    async with pool.acquire() as connection:
        (first,) = await Trends(connection).list_qualified(language="en-US", niche="space", limit=1)
        everything = await Trends(connection).list_qualified(language="de", niche="space", limit=9)
    assert first.topic == "Topic 2"
    assert [row.topic for row in everything] == ["Topic 0", "Topic 1", "Topic 2"]


def test_wikimedia_has_its_turn_once_an_hour() -> None:
    hour = 1_800_000_000 - 1_800_000_000 % 3600
    assert due_feeds(ALL, hour) == ALL
    for quarter in (1, 2, 3):
        assert due_feeds(ALL, hour + quarter * 900) == ("google_trends", "hackernews")


async def test_bug_in_one_source_stops_no_other(
    pool: asyncpg.Pool, server: FeedsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "reddit"

        async def topics(self) -> tuple[FoundTopic, ...]:
            raise ZeroDivisionError

    monkeypatch.setitem(FEEDS, "reddit", lambda _: Broken())
    results = await ingest(pool, settings_for(server), ("reddit", "hackernews"))
    assert "ZeroDivisionError" in str(results[0].error)
    assert results[1].added == 2
