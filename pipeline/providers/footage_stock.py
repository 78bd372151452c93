"""Footage from stock libraries: search, choose, download, verify. The libraries' own dialects are
in `footage_pexels` and `footage_pixabay`."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from pipeline.domain import FootageCredit
from pipeline.errors import Deferred, Rejected, Transient, Waiting
from pipeline.footage import FootageWish, FoundFootage
from pipeline.providers.fetching import (
    Limits,
    Refused,
    fetch,
    media_type_of,
    opened,
    place,
    read_json,
    redirect_target,
    unpacked,
)
from pipeline.providers.footage_cache import FootageCache

SEARCH_LIMITS = Limits(bytes=5_000_000, seconds=30.0)
CLIP_LIMITS = Limits(bytes=200_000_000, seconds=300.0)
STILL_LIMITS = Limits(bytes=40_000_000, seconds=120.0)
REDIRECTS = 3
# A scene gives up after so many downloads that turn out unusable.
DOWNLOADS_A_SCENE = 5
_OPAQUE = {"application/octet-stream", "binary/octet-stream"}


class Kind(StrEnum):
    """What is searched for."""

    VIDEO = "video"
    PHOTO = "photo"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An asset on offer, in the variant that suits the frame best. `seconds` is 0 for a still."""

    asset_id: str
    kind: Kind
    url: str
    width: int
    height: int
    seconds: float
    page_url: str | None
    author: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a library; `secret` parameters are sent, but not part of its name."""

    path: str
    params: Mapping[str, str]
    secret: Mapping[str, str]
    headers: Mapping[str, str]


class StockLibrary(Protocol):
    """A library's dialect. `key_variable` is the setting that holds its key."""

    name: str
    key_variable: str
    licence: str
    base_url: str
    hosts: tuple[str, ...]
    key_statuses: frozenset[int]
    rest: timedelta

    def question(self, kind: Kind, query: str, wish: FootageWish) -> Question:
        """How to ask for it."""
        ...

    def candidates(self, kind: Kind, answer: Any, wish: FootageWish) -> Sequence[Candidate]:
        """What is on offer, best first; what cannot be used is left out. KeyError, TypeError or
        ValueError when the answer has not the library's shape."""
        ...


class StockFootage:
    """The Footage port over a library."""

    def __init__(
        self,
        library: StockLibrary,
        client: httpx.AsyncClient,
        cache: FootageCache,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._library = library
        self._client = client
        self._cache = cache
        self._clock = clock
        self._resting_until: datetime | None = None

    async def find(self, wish: FootageWish, *, used: Collection[str]) -> FoundFootage | None:
        """A clip of the length, else a still, for the first query that finds one."""
        downloads = 0
        for query in wish.queries:
            for kind in Kind:
                for candidate in await self._offers(kind, query, wish):
                    if f"{self._library.name}:{candidate.asset_id}" in used:
                        continue
                    if kind is Kind.VIDEO and candidate.seconds < wish.min_seconds:
                        continue
                    found = await self._obtain(candidate)
                    if found is not None:
                        return found
                    downloads += 1
                    if downloads == DOWNLOADS_A_SCENE:
                        return None
        return None

    async def _offers(self, kind: Kind, query: str, wish: FootageWish) -> list[Candidate]:
        """What the library offers, those of the frame's orientation first."""
        library = self._library
        question = library.question(kind, query, wish)
        name = json.dumps([library.base_url, question.path, dict(question.params)], sort_keys=True)
        answer = await self._cache.search(name, lambda: self._ask(question, kind, wish))
        offers = library.candidates(kind, answer, wish)
        return sorted(offers, key=lambda offer: (offer.height > offer.width) != wish.vertical)

    async def _ask(self, question: Question, kind: Kind, wish: FootageWish) -> Any:
        library, now = self._library, self._clock()
        if self._resting_until is not None and now < self._resting_until:
            raise self._asked_to_rest(self._resting_until)
        try:
            answer = await fetch(
                self._client,
                library.base_url + question.path,
                params={**question.params, **question.secret},
                headers=question.headers,
                limits=SEARCH_LIMITS,
            )
        except Refused as refused:
            raise self._judged(refused) from refused
        self._heed(answer.headers, now)
        given = read_json(answer, library.name)
        try:
            library.candidates(kind, given, wish)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Transient(f"{library.name} answered in a shape that is not its own") from error
        return given

    def _heed(self, headers: Mapping[str, str], now: datetime) -> None:
        """Rest when the library says that nothing is left of its allowance."""
        if headers.get("x-ratelimit-remaining", "").strip() == "0":
            self._resting_until = now + (_reset(headers, now) or self._library.rest)

    def _judged(self, refused: Refused) -> Transient | Deferred | Waiting | Rejected:
        library, now = self._library, self._clock()
        if refused.status == 429:
            after = refused.retry_after(now)
            rest = None if after is None else timedelta(seconds=after)
            until = now + (rest or _reset(refused.headers, now) or library.rest)
            self._resting_until = until
            return self._asked_to_rest(until)
        if refused.status in library.key_statuses:
            return Waiting(
                f"{library.name} refuses the key ({refused.status}): check {library.key_variable},"
                " then retry the run"
            )
        if refused.status >= 500:
            return Transient(f"{library.name}: {refused}", retry_after=refused.retry_after(now))
        return Rejected(f"{library.name}: {refused}; check its base URL in the settings")

    def _asked_to_rest(self, until: datetime) -> Deferred:
        return Deferred(
            f"{self._library.name} asks for rest until {until:%Y-%m-%d %H:%M:%S}Z", until=until
        )

    async def _obtain(self, candidate: Candidate) -> FoundFootage | None:
        credit = FootageCredit(
            provider=self._library.name,
            asset_id=candidate.asset_id,
            page_url=candidate.page_url,
            author=candidate.author,
            licence=self._library.licence,
            fetched_at=self._clock(),
        )
        limits = CLIP_LIMITS if candidate.kind is Kind.VIDEO else STILL_LIMITS
        name = f"{candidate.asset_id}-{candidate.width}x{candidate.height}"

        async def download(into: Path) -> None:
            await self._download(candidate.url, candidate.kind, limits, into)

        found = await self._cache.asset(name, credit, download)
        if found is None or found.scene.is_video != (candidate.kind is Kind.VIDEO):
            return None
        return found

    async def _download(self, url: str, kind: Kind, limits: Limits, into: Path) -> None:
        """Write what the address holds into a new file, following a few redirects within the
        library's own hosts. Raises `Rejected` when it is gone or something else."""
        for _ in range(REDIRECTS + 1):
            request = self._request(url)
            try:
                async with opened(self._client, request, limits) as response:
                    wanted = "video/" if kind is Kind.VIDEO else "image/"
                    media_type = media_type_of(response)
                    if not media_type.startswith(wanted) and media_type not in _OPAQUE:
                        raise Rejected(f"{place(url)} is {media_type or 'of no type'}")
                    with into.open("xb") as file:
                        async for part in unpacked(response, limits.bytes):
                            await asyncio.to_thread(file.write, part)
                    return
            except Refused as refused:
                target = redirect_target(refused, url)
                if target is None:
                    if refused.status == 429 or refused.status >= 500:
                        raise self._judged(refused) from refused
                    raise Rejected(str(refused)) from refused
                url = target
        raise Rejected(f"{place(url)} is redirected more than {REDIRECTS} times")

    def _request(self, url: str) -> httpx.Request:
        try:
            self._check_host(url)
            return self._client.build_request("GET", url, headers={"Accept-Encoding": "identity"})
        except (ValueError, httpx.InvalidURL) as error:
            raise Rejected(f"{self._library.name} sends to an address that is none") from error

    def _check_host(self, url: str) -> None:
        """Only the library's own hosts are read: its answers must not send us elsewhere."""
        parts, own = urlsplit(url), urlsplit(self._library.base_url)
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            return
        host = parts.hostname or ""
        known = any(host == name or host.endswith(f".{name}") for name in self._library.hosts)
        if parts.scheme != "https" or parts.port not in {None, 443} or not known:
            raise Rejected(f"{place(url)} is not one of the hosts of {self._library.name}")


def _reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long until the allowance is renewed: stated as a moment (Pexels) or as seconds."""
    text = headers.get("x-ratelimit-reset", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 13):
        return None
    seconds = float(text) - now.timestamp() if float(text) > 1e9 else float(text)
    return timedelta(seconds=min(max(seconds, 1.0), 31 * 86400.0))
