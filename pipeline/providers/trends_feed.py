"""What the feeds of trends share: reading within limits, and making topics of hostile texts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx

from pipeline.domain import FoundTopic
from pipeline.errors import Rejected, Transient
from pipeline.providers.fetching import Answer, Limits, Refused, fetch, read_json
from pipeline.providers.html_text import html_text
from pipeline.stages.topic_text import clean_topic, normalise_topic, plain_line

FEED_LIMITS = Limits(bytes=5_000_000, seconds=30.0)
ITEM_LIMITS = Limits(bytes=1_000_000, seconds=15.0)
FACTS_A_TOPIC = 12
FACT_CHARACTERS = 600
# A line of fewer words states nothing that a script could tell.
FACT_WORDS = 4
_ENDS = (".", "!", "?", "…", "。", "！", "？")


@dataclass(frozen=True, slots=True)
class FeedReader:
    """Reads one source's answers; `source` names it in errors. Secrets stand in `headers` only."""

    client: httpx.AsyncClient
    source: str

    async def read(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits = FEED_LIMITS,
    ) -> Answer:
        """One answer; `Transient` for a refusal that may pass, `Rejected` for another."""
        try:
            return await fetch(self.client, url, params=params, headers=headers, limits=limits)
        except Refused as refused:
            raise self.judged(refused) from refused

    def judged(self, refused: Refused) -> Transient | Rejected:
        """What a refusal means for a source that is read again and again."""
        message = f"{self.source}: {refused}"
        if refused.status == 429 or refused.status >= 500:
            after = refused.retry_after(datetime.now(UTC))
            again = "" if after is None else f"; asked to wait {after:.0f} s"
            return Transient(message + again, retry_after=after)
        if 300 <= refused.status < 400:
            return Rejected(f"{message}: the address has moved; put the new one into the settings")
        return Rejected(f"{message}; check the address in the settings")

    async def json(self, url: str, **options: Any) -> Any:
        """One answer as JSON."""
        answer = await self.read(url, **options)
        return read_json(answer, self.source)


def usable(found: Iterable[FoundTopic], limit: int) -> tuple[FoundTopic, ...]:
    """The first `limit` topics in plain text, without repeats; what cannot be used is left out."""
    kept: dict[str, FoundTopic] = {}
    for item in found:
        try:
            topic = clean_topic(item.topic)
        except Rejected:
            continue
        kept.setdefault(normalise_topic(topic.topic), replace(item, topic=topic))
        if len(kept) == limit:
            break
    return tuple(kept.values())


def facts_of(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """From texts with their addresses the facts worth keeping: plain, whole, each once."""
    seen: set[str] = set()
    for text, url in lines:
        line = plain_line(html_text(text))[: FACT_CHARACTERS + 1]
        known = normalise_topic(line)
        if len(line) > FACT_CHARACTERS or len(line.split()) < FACT_WORDS or known in seen:
            continue
        seen.add(known)
        yield (line if line.endswith(_ENDS) else f"{line}."), url
        if len(seen) == FACTS_A_TOPIC:
            return
