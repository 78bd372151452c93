"""Which adapter a provider's name in the settings stands for: one line each.

Adapters are imported where they are built: a process loads only what its settings chose. Whatever
an adapter opens is closed by the runtime's exit stack.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from db.pool import Pool
from db.repositories.accounts import Account
from pipeline.errors import Rejected
from pipeline.footage import MediaShape
from pipeline.ports import CallLedger, Footage, Host, Narrator, ScriptWriter, TrendSource
from workers.calls.gate import ProviderGate
from workers.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pipeline.providers.footage_stock import StockLibrary


HostFor = Callable[[Account, str], Host]
"""From an account and the name of the channel it uploads for to its host."""

WriterFor = Callable[[CallLedger], ScriptWriter]
"""From the ledger of a claim to the writer that makes its paid calls through it."""

NarratorFor = Callable[[CallLedger], Narrator]
"""From the ledger of a claim to the narrator that makes its paid calls through it."""


def _template_writer(settings: Settings, pool: Pool, stack: AsyncExitStack) -> WriterFor:
    from pipeline.providers.writer_local import TemplateWriter

    writer = TemplateWriter()
    return lambda _: writer


def _openai_writer(settings: Settings, pool: Pool, stack: AsyncExitStack) -> WriterFor:
    from workers.vendors.openai import make_writer

    return make_writer(settings, stack)


def _espeak_narrator(settings: Settings, pool: Pool, stack: AsyncExitStack) -> NarratorFor:
    from pipeline.providers.narrator_local import EspeakNarrator, EspeakOptions

    try:
        narrator = EspeakNarrator(EspeakOptions(variant=settings.voice))
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_VOICE: {error}") from error
    return lambda _: narrator


def _elevenlabs_narrator(settings: Settings, pool: Pool, stack: AsyncExitStack) -> NarratorFor:
    from workers.vendors.elevenlabs import make_narrator

    return make_narrator(settings, stack)


def vendor_gates(settings: Settings, pool: Pool) -> Mapping[str, ProviderGate]:
    """The gate of each vendor that is paid by the call, by its name in the ledger."""
    return {
        vendor: ProviderGate(pool, vendor, concurrency=concurrency(settings))
        for vendor, concurrency in CONCURRENCY.items()
    }


def _local_hosts(settings: Settings, pool: Pool, stack: AsyncExitStack) -> HostFor:
    from pipeline.providers.host_local import LocalHost

    def host_for(account: Account, channel_name: str) -> Host:
        if account.channel_id is None or account.provider != "local":
            raise Rejected(
                f"account {account.email} belongs to YouTube: set YTEMPIRE_HOST_PROVIDER=youtube"
            )
        return LocalHost(
            settings.published_folder,
            channel_id=account.channel_id,
            channel_name=channel_name,
            clock=_now,
        )

    return host_for


def _youtube_hosts(settings: Settings, pool: Pool, stack: AsyncExitStack) -> HostFor:
    from workers.accounts.youtube import youtube_hosts

    return youtube_hosts(settings, pool)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FeedParts:
    """What a feed is built from. `languages` are those of the channels, the most used first; `pool`
    is None where a feed is built only to see whether its settings suffice."""

    settings: Settings
    client: httpx.AsyncClient
    languages: Sequence[str]
    pool: Pool | None = None


def _google_trends(parts: FeedParts) -> TrendSource:
    from pipeline.providers.trends_feed import FeedReader
    from pipeline.providers.trends_google import DEFAULT_URL, GoogleTrends

    url = parts.settings.google_trends_url or DEFAULT_URL
    try:
        return GoogleTrends(FeedReader(parts.client, "google_trends"), url, clock=_now)
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_GOOGLE_TRENDS_URL: {error}") from error


def _hackernews(parts: FeedParts) -> TrendSource:
    from pipeline.providers.trends_feed import FeedReader
    from pipeline.providers.trends_hackernews import DEFAULT_URL, HackerNews

    url = parts.settings.hackernews_url or DEFAULT_URL
    return HackerNews(FeedReader(parts.client, "hackernews"), url, clock=_now)


def _wikimedia(parts: FeedParts) -> TrendSource:
    from pipeline.providers.trends_feed import FeedReader
    from pipeline.providers.trends_wikimedia import DEFAULT_URL, Wikimedia

    url = parts.settings.wikimedia_url or DEFAULT_URL
    reader = FeedReader(parts.client, "wikimedia")
    return Wikimedia(reader, url, languages=parts.languages, clock=_now)


def _reddit(parts: FeedParts) -> TrendSource:
    from pipeline.providers.trends_feed import FeedReader
    from pipeline.providers.trends_reddit import Reddit, RedditOptions

    client_id, secret = parts.settings.reddit_client_id, parts.settings.reddit_client_secret
    if client_id is None or secret is None:
        missing = "REDDIT_CLIENT_ID" if client_id is None else "REDDIT_CLIENT_SECRET"
        raise SettingsError(f"{missing} is not set, but the trend source reddit needs it")
    options = RedditOptions(client_id, secret)
    return Reddit(FeedReader(parts.client, "reddit"), options, clock=_now)


def _youtube_popular(parts: FeedParts) -> TrendSource:
    from pipeline.providers.trends_youtube import YouTubePopular
    from workers.vendors.youtube_feed import reading_calls

    open_calls = partial(reading_calls, parts.settings, parts.pool)
    return YouTubePopular(open_calls, languages=parts.languages, clock=_now)


FEEDS: Mapping[str, Callable[[FeedParts], TrendSource]] = {
    "google_trends": _google_trends,
    "youtube": _youtube_popular,
    "hackernews": _hackernews,
    "wikimedia": _wikimedia,
    "reddit": _reddit,
}


async def check_feeds(settings: Settings) -> None:
    """Raise `SettingsError` for a chosen feed that lacks what it needs; nothing is read."""
    from pipeline.providers.fetching import new_client

    async with new_client() as client:
        for name in settings.trend_sources:
            if name in FEEDS:
                FEEDS[name](FeedParts(settings, client, ("en",)))


def footage_cache_folder(settings: Settings) -> Path:
    """Where this host keeps what it searched and fetched of stock libraries."""
    return settings.data_dir / "cache" / "footage"


def _probe() -> Callable[[Path], Awaitable[MediaShape]]:
    from imageio_ffmpeg import get_ffmpeg_exe

    from pipeline.render.media_probe import probe_media

    return partial(probe_media, Path(get_ffmpeg_exe()))


def _generated_backgrounds(settings: Settings, pool: Pool, stack: AsyncExitStack) -> Footage:
    from pipeline.providers.footage_local import GeneratedBackgrounds

    return GeneratedBackgrounds()


def _media_folder(settings: Settings, pool: Pool, stack: AsyncExitStack) -> Footage:
    from pipeline.providers.footage_local import MediaFolder

    if settings.media_dir is None:
        raise SettingsError("YTEMPIRE_MEDIA_DIR is not set, but the footage provider folder is")
    if not settings.media_dir.is_dir():
        raise SettingsError(f"YTEMPIRE_MEDIA_DIR: there is no folder {settings.media_dir}")
    return MediaFolder(settings.media_dir, probe=_probe(), clock=_now)


def _pexels(settings: Settings) -> StockLibrary:
    from pipeline.providers.footage_pexels import DEFAULT_URL, Pexels

    key = _required("PEXELS_API_KEY", settings.pexels_api_key)
    return Pexels(key, settings.pexels_base_url or DEFAULT_URL)


def _pixabay(settings: Settings) -> StockLibrary:
    from pipeline.providers.footage_pixabay import DEFAULT_URL, Pixabay

    key = _required("PIXABAY_API_KEY", settings.pixabay_api_key)
    return Pixabay(key, settings.pixabay_base_url or DEFAULT_URL)


def _required(variable: str, key: str | None) -> str:
    if key is None:
        raise SettingsError(f"{variable} is not set, but YTEMPIRE_FOOTAGE_PROVIDER needs it")
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"{variable} has characters that no key has")
    return key


STOCK_LIBRARIES: Mapping[str, Callable[[Settings], StockLibrary]] = {
    "pexels": _pexels,
    "pixabay": _pixabay,
}


def _stock_footage(settings: Settings, pool: Pool, stack: AsyncExitStack) -> Footage:
    from pipeline.providers.fetching import new_client
    from pipeline.providers.footage_cache import FootageCache
    from pipeline.providers.footage_stock import StockFootage

    library = STOCK_LIBRARIES[settings.footage_provider](settings)
    client = new_client()
    stack.push_async_callback(client.aclose)
    cache = FootageCache(footage_cache_folder(settings), probe=_probe(), clock=_now)
    return StockFootage(library, client, cache, clock=_now)


CONCURRENCY: Mapping[str, Callable[[Settings], int]] = {
    "openai": lambda settings: settings.openai_concurrency,
    "elevenlabs": lambda settings: settings.elevenlabs_concurrency,
}
"""How many calls a vendor takes at once, over all workers of all hosts."""

FOOTAGE: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], Footage]] = {
    "local": _generated_backgrounds,
    "folder": _media_folder,
    "pexels": _stock_footage,
    "pixabay": _stock_footage,
}
SCRIPT_WRITERS: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], WriterFor]] = {
    "local": _template_writer,
    "openai": _openai_writer,
}
NARRATORS: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], NarratorFor]] = {
    "local": _espeak_narrator,
    "elevenlabs": _elevenlabs_narrator,
}
HOSTS: Mapping[str, Callable[[Settings, Pool, AsyncExitStack], HostFor]] = {
    "local": _local_hosts,
    "youtube": _youtube_hosts,
}
