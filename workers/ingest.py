"""From the feeds to stored trends: each source on its own, so that a bad one stops no other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import structlog

from db.errors import Contended, Unavailable
from db.pool import Pool, transaction
from db.repositories.channels import Channels
from db.repositories.trends import Trends
from pipeline.domain import FoundTopic
from pipeline.errors import StageError
from pipeline.ports import TrendSource
from pipeline.providers.fetching import new_client
from pipeline.stages.topic_text import normalise_topic
from pipeline.stages.trend_score import SCALES, score
from workers.accounts.trouble import afflict
from workers.registry import FEEDS, FeedParts
from workers.settings import Settings

log = structlog.get_logger()

# A script may state only facts; with fewer there is no video in it.
FACTS_TO_QUALIFY = 2
# As long as the choice of a topic keeps away from what was made.
NO_REPEAT = timedelta(days=90)
# A whole day's figures do not change every quarter of an hour; a page of YouTube's costs quota.
PERIODS = {"wikimedia": timedelta(hours=1), "youtube": timedelta(hours=1)}
TICK = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a source's topics. `qualified` counts those with enough facts for a script;
    `error` says why nothing could be read."""

    source: str
    found: int = 0
    added: int = 0
    updated: int = 0
    left_out: int = 0
    qualified: int = 0
    error: str | None = None


def chosen_feeds(settings: Settings) -> tuple[str, ...]:
    """The feeds among the sources in the settings; `custom` is imported, not read."""
    return tuple(name for name in dict.fromkeys(settings.trend_sources) if name in FEEDS)


def due_feeds(names: Iterable[str], timestamp: int) -> tuple[str, ...]:
    """Those of the feeds whose turn it is at a tick of the clock, given in seconds since 1970."""
    return tuple(
        name
        for name in names
        if timestamp % PERIODS.get(name, TICK).total_seconds() < TICK.total_seconds()
    )


async def ingest(pool: Pool, settings: Settings, names: Sequence[str]) -> list[Ingested]:
    """Read these feeds one after the other and store what they offer, one transaction each.

    Whatever is wrong with a feed is in its result. Raises `SettingsError` for a feed that lacks
    what it needs, before anything is read, `Unavailable` and `Contended` from the database.
    """
    languages = await _languages(pool)
    async with new_client() as client:
        parts = FeedParts(settings, client, languages, pool)
        sources = [FEEDS[name](parts) for name in names]
        return [await _ingest_one(pool, source) for source in sources]


async def _ingest_one(pool: Pool, source: TrendSource) -> Ingested:
    try:
        found = await source.topics()
        return await store_found(pool, source.name, found)
    except (Unavailable, Contended):
        raise
    except StageError as error:
        if error.trouble is not None:
            async with transaction(pool) as connection:
                await afflict(connection, error.trouble, str(error))
        return Ingested(source.name, error=str(error))
    except Exception as error:
        # A feed that finds a bug of ours must not keep the other feeds' topics away.
        log.exception("trends.source_broke", source=source.name)
        return Ingested(source.name, error=f"a bug in ytempire: {type(error).__name__}: {error}")


async def store_found(pool: Pool, source: str, found: Sequence[FoundTopic]) -> Ingested:
    """Store a feed's topics with their scores in one transaction; a repeat brings them up to date.

    Two that store the same source at once both succeed; the later one's scores stay.
    """
    scale = SCALES[source]
    added = updated = left_out = qualified = 0
    ordered = sorted(
        ((normalise_topic(item.topic.topic)[:500], item) for item in found),
        key=lambda pair: pair[0],
    )
    async with transaction(pool) as connection:
        trends = Trends(connection)
        for normalised, item in ordered:
            topic, scores = item.topic, score(item.demand, scale)
            enough = len(topic.facts) >= FACTS_TO_QUALIFY
            outcome = await trends.upsert_found(
                topic=topic.topic,
                topic_normalized=normalised,
                category=topic.niche,
                source=source,
                source_metadata={
                    "facts": list(topic.facts),
                    "fact_urls": [item.fact_urls.get(fact) for fact in topic.facts],
                    "language": topic.language,
                    "votes": item.demand.votes,
                    "comments": item.demand.comments,
                    "coverage": item.demand.coverage,
                },
                source_url=topic.source_url,
                viral_score=Decimal(str(scores.virality)),
                competition_score=Decimal(str(scores.competition)),
                search_volume=item.demand.audience,
                qualified=enough,
                expires_in=scale.keep,
                no_repeat=NO_REPEAT,
            )
            added += outcome is True
            updated += outcome is False
            left_out += outcome is None
            qualified += enough and outcome is not None
    return Ingested(source, len(found), added, updated, left_out, qualified)


async def expire_trends(pool: Pool) -> int:
    """Mark the topics whose time is over; how many."""
    async with transaction(pool) as connection:
        return await Trends(connection).expire()


async def _languages(pool: Pool) -> list[str]:
    """The channels' languages, the most used first; English when there is no channel yet."""
    async with transaction(pool) as connection:
        spoken = [row.language for row in await Channels(connection).list()]
    return sorted(set(spoken), key=lambda language: (-spoken.count(language), language)) or ["en"]
