"""Google Trends' RSS of what is searched for now: a topic, how often, and who reports on it."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from pipeline.domain import Demand, FoundTopic, Topic
from pipeline.errors import Rejected, Transient
from pipeline.providers.countries import language_of
from pipeline.providers.fetching import web_address
from pipeline.providers.sentences import sentences
from pipeline.providers.trends_feed import FeedReader, facts_of, usable

DEFAULT_URL = "https://trends.google.com/trending/rss?geo=US"
ITEMS = 100
_HT = "{https://trends.google.com/trending/rss}"
_TRAFFIC = re.compile(r"([\d.,]+)\s*([KMB]?)\+?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}


def feed_language(url: str) -> str:
    """The language of the feed at an address, which does not say it: that of `hl`, else of the
    country; ValueError when the address does not tell it."""
    query = parse_qs(urlsplit(url).query)
    if "hl" in query:
        return query["hl"][0]
    country = query.get("geo", ["US"])[0].split("-")[0].upper()
    language = language_of(country)
    if language is None:
        raise ValueError(f"the language of geo={country} is not known: add &hl=<language>")
    return language


class GoogleTrends:
    """The source named `google_trends`."""

    def __init__(self, reader: FeedReader, url: str, *, clock: Callable[[], datetime]) -> None:
        self._reader = reader
        self._url = url
        self._language = feed_language(url)
        self._clock = clock

    @property
    def name(self) -> str:
        """As stored with its trends."""
        return "google_trends"

    async def topics(self) -> tuple[FoundTopic, ...]:
        """The searches that rise now; their facts are the headlines and snippets that Google shows
        for them, each with its article's address."""
        answer = await self._reader.read(self._url)
        if "html" in answer.media_type:
            raise Transient("google_trends answered with a web page instead of its feed")
        items = list(_parsed(answer.body).iter("item"))[:ITEMS]
        now = self._clock()
        found = (self._topic(item, n / len(items), now) for n, item in enumerate(items))
        return usable((topic for topic in found if topic), ITEMS)

    def _topic(self, item: Element, place: float, now: datetime) -> FoundTopic | None:
        news = item.findall(f"{_HT}news_item")
        facts = dict(facts_of(_statements(news)))
        urls = [url for entry in news if (url := web_address(_of(entry, "news_item_url")))]
        topic = Topic(
            topic=item.findtext("title", ""),
            facts=tuple(facts),
            source_url=urls[0] if urls else None,
            language=self._language,
        )
        demand = Demand(
            audience=_traffic(_of(item, "approx_traffic")),
            coverage=len(news),
            age_hours=_age_hours(item.findtext("pubDate", ""), now),
            place=place,
        )
        return FoundTopic(topic, demand, {fact: url for fact, url in facts.items() if url})


def _statements(news: list[Element]) -> Iterator[tuple[str, str]]:
    """Snippets, which are sentences, before headlines, which often are not."""
    for field in ("news_item_snippet", "news_item_title"):
        for entry in news:
            url = web_address(_of(entry, "news_item_url")) or ""
            for sentence in sentences(_of(entry, field)):
                yield sentence, url


def _of(element: Element, name: str) -> str:
    return element.findtext(f"{_HT}{name}") or ""


def _traffic(text: str) -> int | None:
    match = _TRAFFIC.fullmatch(text.strip())
    if match is None:
        return None
    number, unit = match.group(1), match.group(2).upper()
    try:
        # "1.5M" has a fraction, "5,000" has a divider of thousands.
        value = float(number.replace(",", "")) * _UNITS[unit]
    except ValueError:
        return None
    return int(value) if value < 2**62 else None


def _age_hours(published: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(published)
    except (ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((now - moment).total_seconds() / 3600, 0.0)


def _parsed(content: bytes) -> Element:
    try:
        parser = DefusedXMLParser(forbid_dtd=True)
        parser.feed(content)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise Rejected(
            "google_trends sent a document type or entities, which no feed needs: refused"
        ) from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise Transient(f"google_trends sent something that is not XML: {error}") from error
    if root.tag != "rss":
        raise Transient(f"google_trends sent <{str(root.tag)[:60]}> instead of <rss>")
    return root
