"""YouTube's most popular videos of a country, asked with the grant of a stored account.

Since July 2025 the chart holds music, films and games only. A page costs one unit of the quota.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.domain import Demand, FoundTopic, Topic
from pipeline.errors import Rejected, Transient
from pipeline.providers.countries import country_of
from pipeline.providers.fetching import whole_number
from pipeline.providers.trends_feed import usable
from pipeline.providers.youtube_calls import YouTubeCalls
from pipeline.providers.youtube_facts import video_facts
from pipeline.stages.topic_text import plain_line

PAGE = 50
COUNTRIES = 3
TITLE_CHARACTERS = 200
# What the three charts are made of, by YouTube's ids of categories.
NICHES = {"10": "music", "1": "film", "24": "film", "44": "film", "20": "gaming"}


class YouTubePopular:
    """The source named `youtube`. `languages` are those of the channels, the most used first: each
    stands for the country in its tag, or for its main one.

    `open_calls` finds the account that asks; it raises `Waiting` when there is none.
    """

    def __init__(
        self,
        open_calls: Callable[[], Awaitable[YouTubeCalls]],
        *,
        languages: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._open_calls = open_calls
        markets: dict[str, str] = {}
        for language in languages:
            country = country_of(language)
            if country is not None:
                markets.setdefault(country, language)
        self._markets = list(markets.items())[:COUNTRIES]
        self._clock = clock

    @property
    def name(self) -> str:
        """As stored with its trends."""
        return "youtube"

    async def topics(self) -> tuple[FoundTopic, ...]:
        """The chart's first page of each country; facts are what YouTube counts, as of today."""
        if not self._markets:
            raise Rejected(
                "youtube: the country of the channels' languages is not known; give a channel a"
                " language with its country, such as sw-KE"
            )
        calls = await self._open_calls()
        found: list[FoundTopic] = []
        for country, language in self._markets:
            found.extend(await self._of_country(calls, country, language))
        return usable(found, PAGE * len(self._markets))

    async def _of_country(
        self, calls: YouTubeCalls, country: str, language: str
    ) -> Iterator[FoundTopic]:
        answer = await calls.send(
            lambda: calls.data.videos().list(
                part="snippet,statistics",
                chart="mostPopular",
                regionCode=country,
                maxResults=PAGE,
            ),
            f"the chart of {country}",
        )
        items = answer.get("items")
        if not isinstance(items, list):
            raise Transient(f"youtube answered without the chart of {country}")
        now = self._clock()
        found = (_topic(item, n / len(items), language, now) for n, item in enumerate(items))
        return (topic for topic in found if topic is not None)


def _topic(item: Any, place: float, language: str, now: datetime) -> FoundTopic | None:
    """None for an item that is no video as YouTube describes one."""
    try:
        snippet, counted = item["snippet"], item.get("statistics") or {}
        title = plain_line(snippet["title"])[:TITLE_CHARACTERS]
        channel = plain_line(snippet["channelTitle"])[:TITLE_CHARACTERS]
        since = datetime.fromisoformat(snippet["publishedAt"]).astimezone(UTC)
        url = f"https://www.youtube.com/watch?v={_id(item['id'])}"
        niche = NICHES.get(snippet.get("categoryId"))
        views, likes, comments = (
            _count(counted.get(name)) for name in ("viewCount", "likeCount", "commentCount")
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    if not title or not channel:
        return None
    told = video_facts(
        language,
        title=title,
        channel=channel,
        since=since.date(),
        today=now.astimezone(UTC).date(),
        views=views,
        likes=likes,
    )
    facts = dict.fromkeys(told, url)
    return FoundTopic(
        Topic(title, tuple(facts), source_url=url, niche=niche, language=language),
        Demand(
            audience=views,
            votes=likes,
            comments=comments,
            age_hours=max((now - since).total_seconds() / 3600, 0.0),
            place=place,
        ),
        facts,
    )


def _id(given: Any) -> str:
    if not isinstance(given, str) or not given.replace("-", "").replace("_", "").isalnum():
        raise ValueError("no id of a video")
    return given[:64]


def _count(given: Any) -> int | None:
    """YouTube sends counts as strings; one that the channel hides is not there."""
    return whole_number(int(given)) if isinstance(given, str) and given.isdecimal() else None
