"""Footage without a library: generated backgrounds, or the operator's own folder."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from pipeline.domain import FootageCredit, SceneFootage
from pipeline.errors import Rejected
from pipeline.footage import FootageWish, FoundFootage, MediaShape
from pipeline.providers.durable import digest
from pipeline.providers.fetching import web_address
from pipeline.providers.footage_variants import name_of
from pipeline.stages.topic_text import normalise_topic

log = structlog.get_logger()
CLIPS = frozenset({".mp4", ".mov", ".m4v", ".webm", ".mkv"})
STILLS = frozenset({".jpg", ".jpeg", ".png", ".webp"})
FILES = 20_000
TRIES = 10


class GeneratedBackgrounds:
    """The provider named `local`: every scene has the background that the renderer generates."""

    async def find(self, wish: FootageWish, *, used: Collection[str]) -> FoundFootage | None:
        """None, always."""
        return None


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A clip or still by its suffix, not looked into yet; its id is its path within the folder."""

    path: Path
    asset_id: str
    words: frozenset[str]

    @property
    def is_still(self) -> bool:
        return self.path.suffix.lower() in STILLS


class MediaFolder:
    """The provider named `folder`: the operator's files, found by the words of their names.

    `sea/octopus-reef.mp4` has the words sea, octopus and reef. Beside a file, `<name>.json` may
    state `author`, `licence` and `page_url`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        probe: Callable[[Path], Awaitable[MediaShape]],
        clock: Callable[[], datetime],
    ) -> None:
        self._folder = folder
        self._probe = probe
        self._clock = clock
        # What was decoded once is not decoded for every scene: by path, size and time of change.
        self._known: dict[tuple[str, int, int], tuple[MediaShape, str]] = {}

    async def find(self, wish: FootageWish, *, used: Collection[str]) -> FoundFootage | None:
        """The file that shares most words with the first query that shares any, of equals a clip.

        Clips shorter than the wish are passed over, as are files that cannot be decoded; those are
        named in the log.
        """
        files = [
            file
            for file in await asyncio.to_thread(media_files, self._folder)
            if f"folder:{file.asset_id}" not in used
        ]
        tries = 0
        for query in wish.queries:
            wanted = _words(query)
            matching = [file for file in files if file.words & wanted]
            matching.sort(
                key=lambda file: (-len(file.words & wanted), file.is_still, len(file.words))
            )
            for file in matching:
                found = await self._verified(file, wish)
                if found is not None:
                    return found
                tries += 1
                if tries == TRIES:
                    return None
        return None

    async def _verified(self, file: MediaFile, wish: FootageWish) -> FoundFootage | None:
        try:
            status = file.path.stat()
            version = (str(file.path), status.st_size, status.st_mtime_ns)
            if version not in self._known:
                shape = await self._probe(file.path)
                self._known[version] = shape, await asyncio.to_thread(digest, file.path)
            shape, sha256 = self._known[version]
        except (Rejected, OSError) as error:
            log.warning("footage.file_refused", file=file.asset_id, reason=str(error))
            return None
        if shape.is_video and shape.duration < wish.min_seconds:
            return None
        told = await asyncio.to_thread(_companion, file.path)
        return FoundFootage(
            SceneFootage(
                file.path, sha256, shape.is_video, shape.duration, shape.width, shape.height
            ),
            FootageCredit(
                provider="folder",
                asset_id=file.asset_id,
                page_url=web_address(told.get("page_url")),
                author=name_of(told.get("author")),
                licence=name_of(told.get("licence")),
                fetched_at=self._clock(),
            ),
        )


def media_files(folder: Path) -> list[MediaFile]:
    """All media files, by name, so that every host with the same folder chooses the same."""
    found: list[MediaFile] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() not in CLIPS | STILLS or name.startswith("."):
                continue
            relative = path.relative_to(folder)
            words = _words(" ".join((*relative.parent.parts, path.stem)))
            found.append(MediaFile(path, relative.as_posix(), words))
            if len(found) == FILES:
                log.warning("footage.folder_cut", folder=str(folder), files=FILES)
                return found
    return found


def _words(text: str) -> frozenset[str]:
    """Words without accents and case; a plain plural finds its singular, and the reverse."""
    words = normalise_topic(text).split()
    return frozenset(word.removesuffix("s") if len(word) > 3 else word for word in words)


def _companion(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.with_name(f"{path.name}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
