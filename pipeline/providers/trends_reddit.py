"""Reddit's popular posts through its OAuth API: titles only. Reddit approves each app itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from pipeline.domain import Demand, FoundTopic, Topic
from pipeline.errors import Rejected, Transient, Waiting
from pipeline.providers.fetching import (
    Answer,
    Refused,
    media_type_of,
    opened,
    read_json,
    unpacked,
    whole_number,
)
from pipeline.providers.trends_feed import FEED_LIMITS, FeedReader, usable

ITEMS = 50


@dataclass(frozen=True, slots=True)
class RedditOptions:
    """The app's credentials and where Reddit is."""

    client_id: str
    client_secret: str
    token_url: str = "https://www.reddit.com/api/v1/access_token"  # noqa: S105 - an address
    api_url: str = "https://oauth.reddit.com"

    def __repr__(self) -> str:
        return f"RedditOptions(api_url={self.api_url!r})"


class Reddit:
    """The source named `reddit`."""

    def __init__(
        self, reader: FeedReader, options: RedditOptions, *, clock: Callable[[], datetime]
    ) -> None:
        self._reader = reader
        self._options = options
        self._clock = clock

    @property
    def name(self) -> str:
        """As stored with its trends."""
        return "reddit"

    async def topics(self) -> tuple[FoundTopic, ...]:
        """The popular posts; `Waiting` when Reddit refuses the app's credentials."""
        token = await self._token()
        listing = await self._reader.json(
            f"{self._options.api_url}/r/popular/hot",
            params={"limit": str(ITEMS), "raw_json": "1"},
            headers={"Authorization": f"Bearer {token}"},
        )
        try:
            posts = [child["data"] for child in listing["data"]["children"]][:ITEMS]
        except (KeyError, TypeError) as error:
            raise Transient("reddit answered without a list of posts") from error
        now = self._clock().timestamp()
        found = (_topic(post, n / len(posts), now) for n, post in enumerate(posts))
        return usable((topic for topic in found if topic), ITEMS)

    async def _token(self) -> str:
        client = self._reader.client
        basic = httpx.BasicAuth(self._options.client_id, self._options.client_secret)
        request = client.build_request(
            "POST", self._options.token_url, data={"grant_type": "client_credentials"}
        )
        request = next(basic.auth_flow(request))
        try:
            async with opened(client, request, FEED_LIMITS) as response:
                body = b"".join([part async for part in unpacked(response, FEED_LIMITS.bytes)])
                answer = Answer(body, media_type_of(response), response.headers)
        except Refused as refused:
            if refused.status in {400, 401, 403}:
                raise Waiting(
                    "reddit refuses the app's credentials: check REDDIT_CLIENT_ID and"
                    " REDDIT_CLIENT_SECRET, and that Reddit approved the app"
                ) from refused
            raise self._reader.judged(refused) from refused
        given = read_json(answer, self.name)
        token = given.get("access_token") if isinstance(given, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Rejected("reddit gave no access token")
        return token


def _topic(post: Any, place: float, now: float) -> FoundTopic | None:
    if not isinstance(post, dict) or post.get("over_18") or post.get("stickied"):
        return None
    title, permalink, created = post.get("title"), post.get("permalink"), post.get("created_utc")
    if not isinstance(title, str) or not isinstance(permalink, str):
        return None
    posted = created if isinstance(created, int | float) and abs(created) < 1e11 else None
    return FoundTopic(
        Topic(topic=title, source_url=f"https://www.reddit.com{permalink}"[:1_000], language="en"),
        Demand(
            votes=whole_number(post.get("ups")),
            comments=whole_number(post.get("num_comments")),
            age_hours=None if posted is None else max((now - posted) / 3600, 0.0),
            place=place,
        ),
    )
