"""Wikipedia's most read articles of the last full day, with their summaries as facts."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.domain import Demand, FoundTopic, Topic
from pipeline.errors import Rejected, Transient
from pipeline.providers.fetching import Refused, fetch, read_json, web_address, whole_number
from pipeline.providers.sentences import sentences
from pipeline.providers.trends_feed import FEED_LIMITS, ITEM_LIMITS, FeedReader, facts_of, usable

DEFAULT_URL = "https://wikimedia.org/api/rest_v1"
ITEMS = 25
PARALLEL = 3  # as their policy asks
LANGUAGES = 5
# The figures of a day are there some hours after it, sometimes a day late.
DAYS_BACK = (1, 2)
_MAIN_PAGES = {"Main_Page", "Wikipedia", "Hauptseite", "Portada", "-", "404.php", "index.html"}
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class Wikimedia:
    """The source named `wikimedia`; `url` ends in `/api/rest_v1`.

    Summaries are at each Wikipedia's own host; a server that is not wikimedia.org is asked for
    them under the same address as for the page views.
    """

    def __init__(
        self,
        reader: FeedReader,
        url: str,
        *,
        languages: Sequence[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._url = url.rstrip("/")
        primary = (language.split("-")[0].lower() for language in languages)
        usable_ones = (tag for tag in primary if _LANGUAGE.fullmatch(tag))
        self._languages = list(dict.fromkeys(usable_ones))[:LANGUAGES] or ["en"]
        self._clock = clock

    @property
    def name(self) -> str:
        """As stored with its trends."""
        return "wikimedia"

    async def topics(self) -> tuple[FoundTopic, ...]:
        """The most read articles in each language; one whose summary cannot be read has no facts.
        Raises `Transient` when no day's figures are ready."""
        found: list[FoundTopic] = []
        for language in self._languages:
            found.extend(await self._of_language(language))
        return usable(found, ITEMS * len(self._languages))

    async def _of_language(self, language: str) -> list[FoundTopic]:
        day, articles = await self._most_read(language)
        chosen = [article for article in articles if _is_subject(article)][:ITEMS]
        turns = asyncio.Semaphore(PARALLEL)
        age_hours = (self._clock() - day).total_seconds() / 3600

        async def topic(number: int, article: dict[str, Any]) -> FoundTopic:
            async with turns:
                summary = await self._summary(language, article["article"])
            demand = Demand(
                audience=whole_number(article.get("views")),
                age_hours=max(age_hours, 0.0),
                place=number / len(chosen),
            )
            return _topic(article["article"], summary, language, demand)

        return await asyncio.gather(*(topic(n, article) for n, article in enumerate(chosen)))

    async def _most_read(self, language: str) -> tuple[datetime, list[Any]]:
        today = self._clock().replace(hour=0, minute=0, second=0, microsecond=0)
        for back in DAYS_BACK:
            day = today - timedelta(days=back)
            where = f"{language}.wikipedia/all-access/{day:%Y/%m/%d}"
            try:
                answer = await fetch(
                    self._reader.client,
                    f"{self._url}/metrics/pageviews/top/{where}",
                    limits=FEED_LIMITS,
                )
            except Refused as refused:
                if refused.status == 404:
                    continue
                raise self._reader.judged(refused) from refused
            return day, _articles(read_json(answer, self.name))
        raise Transient(
            f"wikimedia has no page views of {language}.wikipedia yet for the last"
            f" {len(DAYS_BACK)} days; they come by themselves",
            retry_after=3600,
        )

    async def _summary(self, language: str, article: str) -> Any:
        """The summary's JSON; None when there is none to be had, which costs the topic its facts
        and nothing more."""
        base = self._url
        if urlsplit(base).hostname == "wikimedia.org":
            base = f"https://{language}.wikipedia.org/api/rest_v1"
        try:
            return await self._reader.json(
                f"{base}/page/summary/{quote(article, safe='')}", limits=ITEM_LIMITS
            )
        except (Transient, Rejected):
            return None


def _articles(answer: Any) -> list[Any]:
    try:
        articles = answer["items"][0]["articles"]
    except (KeyError, IndexError, TypeError) as error:
        raise Transient("wikimedia answered without a list of articles") from error
    if not isinstance(articles, list):
        raise Transient("wikimedia answered without a list of articles")
    return articles


def _is_subject(article: Any) -> bool:
    """Whether this is an article, not a portal, a search page or a list that nobody tells."""
    name = article.get("article") if isinstance(article, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= 255 or name in _MAIN_PAGES:
        return False
    space, colon, rest = name.partition(":")
    # A colon without a space behind it ends a namespace: Special:Search, but not Dune:_Part_Two.
    return not (colon and space and not rest.startswith("_"))


def _topic(article: str, summary: Any, language: str, demand: Demand) -> FoundTopic:
    given = summary if isinstance(summary, dict) else {}
    page = _page(given) or f"https://{language}.wikipedia.org/wiki/{quote(article, safe='')}"
    text = given.get("extract") if given.get("type") == "standard" else None
    told = sentences(text) if isinstance(text, str) else []
    facts = dict(facts_of((sentence, page) for sentence in told))
    title = given.get("title")
    return FoundTopic(
        Topic(
            topic=title if isinstance(title, str) and title else article.replace("_", " "),
            facts=tuple(facts),
            source_url=page if len(page) <= 1_000 else None,
            language=language,
        ),
        demand,
        facts,
    )


def _page(summary: dict[str, Any]) -> str | None:
    try:
        page = summary["content_urls"]["desktop"]["page"]
    except (KeyError, TypeError):
        return None
    return web_address(page) if isinstance(page, str) else None
