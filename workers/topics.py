"""From a source's topics to stored trends."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from db.pool import Pool, transaction
from db.repositories.trends import Trends
from pipeline.domain import Topic
from pipeline.stages.topic_text import normalise_topic

# How many stored topics are looked at, and how long a channel does not repeat one.
CANDIDATES = 500
NO_REPEAT_DAYS = 90
# An operator's own list is what they want made: it comes before anything a feed offers.
CUSTOM_VIRAL_SCORE = Decimal(1)
CUSTOM_COMPETITION_SCORE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the topics: new, known already and brought up to date, used by a video."""

    added: int
    updated: int
    used: int


async def import_topics(pool: Pool, topics: Sequence[Topic]) -> Imported:
    """Store an operator's topics in one transaction; a repeat brings them up to date."""
    added = updated = used = 0
    async with transaction(pool) as connection:
        trends = Trends(connection)
        for position, topic in enumerate(topics):
            outcome = await trends.upsert(
                topic=topic.topic,
                topic_normalized=normalise_topic(topic.topic)[:500],
                category=topic.niche,
                source="custom",
                source_metadata={
                    "facts": list(topic.facts),
                    "language": topic.language,
                    "position": position,
                },
                source_url=topic.source_url,
                viral_score=CUSTOM_VIRAL_SCORE,
                competition_score=CUSTOM_COMPETITION_SCORE,
            )
            added += outcome is True
            updated += outcome is False
            used += outcome is None
    return Imported(added, updated, used)


async def list_free_topics(pool: Pool, topics: Sequence[Topic]) -> list[UUID]:
    """Of these topics, in their order, the stored ones that no video is or is being made of."""
    async with transaction(pool) as connection:
        return await Trends(connection).list_free(
            topics_normalized=[normalise_topic(topic.topic)[:500] for topic in topics]
        )
