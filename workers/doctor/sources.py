"""Checks of the chosen feeds and of the footage: what they would answer now, for nothing.

A feed that is away is a warning: the others go on, and it has its next turn.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import httpx

from db.pool import Pool
from pipeline.errors import StageError, Waiting
from pipeline.footage import FootageWish
from pipeline.providers.fetching import Refused, fetch, new_client, read_json
from pipeline.providers.footage_local import media_files
from pipeline.providers.footage_stock import SEARCH_LIMITS, Kind, StockLibrary
from workers.doctor.clock import differing, served_at
from workers.doctor.finding import Examined, Finding, error, ok, warning
from workers.registry import FEEDS, STOCK_LIBRARIES, FeedParts
from workers.settings import Settings, SettingsError

YOUTUBE = "youtube"
ANY_WISH = FootageWish(("sea",), 1920, 1080, 1.0)


async def feeds(examined: Examined) -> Sequence[Finding]:
    """Every chosen feed can be read now; nothing is stored."""
    settings = examined.settings
    names = [name for name in dict.fromkeys(settings.trend_sources) if name in FEEDS]
    found = await asyncio.gather(*(_feed(settings, name, examined.pool) for name in names))
    return [finding for findings in found for finding in findings]


async def _feed(settings: Settings, name: str, pool: Pool | None) -> list[Finding]:
    if pool is None and name == YOUTUBE:
        return [warning(name, "its chart is read with an account: the database is not there")]
    served: list[datetime | None] = []

    async def note(response: httpx.Response) -> None:
        served.append(served_at(response.headers))

    try:
        async with new_client() as client:
            client.event_hooks = {"response": [note]}
            found = await FEEDS[name](FeedParts(settings, client, ("en",), pool)).topics()
    except (SettingsError, Waiting) as problem:
        return [error(name, str(problem))]
    except StageError as problem:
        return [warning(name, str(problem))]
    return [
        ok(name, f"{len(found)} topics are on offer"),
        *differing(name, "the feed's", served[0] if served else None),
    ]


async def footage(examined: Examined) -> Sequence[Finding]:
    """The chosen footage is there: files in the folder, a key that the library takes."""
    settings, name = examined.settings, examined.settings.footage_provider
    if name == "folder":
        return [await asyncio.to_thread(_folder, settings)]
    if name not in STOCK_LIBRARIES:
        return []
    try:
        library = STOCK_LIBRARIES[name](settings)
    except SettingsError as problem:
        return [error(name, str(problem))]
    return await _library(library)


def _folder(settings: Settings) -> Finding:
    folder = settings.media_dir
    if folder is None or not folder.is_dir():
        return error("folder", f"YTEMPIRE_MEDIA_DIR: there is no folder {folder or 'named'}")
    count = len(media_files(folder))
    if not count:
        return warning("folder", f"{folder} has no clip or still in it")
    return ok("folder", f"{count} clips and stills are in {folder}")


async def _library(library: StockLibrary) -> list[Finding]:
    """One search: free, but counted by the library."""
    name, question = library.name, library.question(Kind.PHOTO, "sea", ANY_WISH)
    try:
        async with new_client() as client:
            answer = await fetch(
                client,
                library.base_url + question.path,
                params={**question.params, **question.secret},
                headers=question.headers,
                limits=SEARCH_LIMITS,
            )
        library.candidates(Kind.PHOTO, read_json(answer, name), ANY_WISH)
    except Refused as refused:
        if refused.status in library.key_statuses:
            return [error(name, f"{name} refuses the key in {library.key_variable}")]
        if refused.status == 429:
            return [warning(name, f"{name} asks for rest: its allowance is used up")]
        return [error(name, str(refused))]
    except StageError as problem:
        return [error(name, str(problem))]
    except (KeyError, TypeError, ValueError, AttributeError):
        return [error(name, f"what answers at {library.base_url} does not speak {name}'s API")]
    left = answer.headers.get("x-ratelimit-remaining", "").strip()
    told = f"; {left} requests are left" if left.isdigit() else ""
    return [
        ok(name, f"the key works{told}"),
        *differing(name, "the library's", served_at(answer.headers)),
    ]
