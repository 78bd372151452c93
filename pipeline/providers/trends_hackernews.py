"""Hacker News' front page: what engineers talk about now. Titles only: it has no facts."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipeline.domain import Demand, FoundTopic, Topic
from pipeline.errors import Rejected, Transient
from pipeline.providers.fetching import web_address, whole_number
from pipeline.providers.trends_feed import ITEM_LIMITS, FeedReader, usable

DEFAULT_URL = "https://hacker-news.firebaseio.com/v0"
ITEMS = 30
PARALLEL = 4
NICHE = "technology"


class HackerNews:
    """The source named `hackernews`; `url` ends in `/v0`."""

    def __init__(self, reader: FeedReader, url: str, *, clock: Callable[[], datetime]) -> None:
        self._reader = reader
        self._url = url.rstrip("/")
        self._clock = clock

    @property
    def name(self) -> str:
        """As stored with its trends."""
        return "hackernews"

    async def topics(self) -> tuple[FoundTopic, ...]:
        """The first stories of the front page; a story that cannot be read is left out, and only
        when none can is the source away."""
        ids = await self._reader.json(f"{self._url}/topstories.json")
        if not isinstance(ids, list):
            raise Transient("hackernews answered with something else than a list of stories")
        wanted = [number for number in ids if whole_number(number) is not None][:ITEMS]
        turns = asyncio.Semaphore(PARALLEL)

        async def story(number: int) -> Any:
            async with turns:
                try:
                    return await self._reader.json(
                        f"{self._url}/item/{number}.json", limits=ITEM_LIMITS
                    )
                except (Transient, Rejected) as error:
                    return error

        stories = await asyncio.gather(*map(story, wanted))
        failures = [item for item in stories if isinstance(item, Transient | Rejected)]
        if failures and len(failures) == len(stories):
            raise failures[0]
        now = self._clock()
        found = (
            _topic(number, item, place / len(stories), now)
            for place, (number, item) in enumerate(zip(wanted, stories, strict=True))
        )
        return usable((topic for topic in found if topic), ITEMS)


def _topic(number: int, item: Any, place: float, now: datetime) -> FoundTopic | None:
    if not isinstance(item, dict) or item.get("type") != "story":
        return None
    title, address = item.get("title"), item.get("url")
    if not isinstance(title, str) or item.get("dead") or item.get("deleted"):
        return None
    page = f"https://news.ycombinator.com/item?id={number}"
    posted = whole_number(item.get("time"))
    return FoundTopic(
        Topic(
            topic=title,
            source_url=web_address(address if isinstance(address, str) else None) or page,
            niche=NICHE,
            language="en",
        ),
        Demand(
            votes=whole_number(item.get("score")),
            comments=whole_number(item.get("descendants")),
            age_hours=None if posted is None else max((now.timestamp() - posted) / 3600, 0.0),
            place=place,
        ),
    )
