"""What was searched and fetched before: kept for a day and longer, so that nothing is asked twice.

    search/<hash>.json      an answer of a provider, valid for a day
    <provider>/<name>       a verified file, with <name>.json (whose it is, what decoding showed)
    <provider>/<name>.bad   why a file was refused; it is not fetched again for a day

Every file appears whole or not at all. Two processes may fetch the same file at once; both then
have it. What nobody used for two weeks is removed.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.domain import FootageCredit, SceneFootage
from pipeline.errors import Rejected
from pipeline.footage import FoundFootage, MediaShape
from pipeline.providers.durable import digest, disk_trouble, make_folder, write_durably

SEARCH_KEPT = timedelta(hours=24)
FILE_KEPT = timedelta(days=14)
LEFTOVER_KEPT = timedelta(days=1)
PRUNE_EVERY_SECONDS = 3600.0

Probe = Callable[[Path], Awaitable[MediaShape]]
"""Decodes a file; raises `Rejected` for one that is not sound."""
Download = Callable[[Path], Awaitable[None]]
"""Writes the content into a new file; raises `Rejected` for content that cannot be it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """The content of a file's companion."""

    credit: FootageCredit
    shape: MediaShape
    sha256: str


class FootageCache:
    """A folder of this host; `clock` dates what is kept in it."""

    def __init__(self, folder: Path, *, probe: Probe, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._probe = probe
        self._clock = clock
        self._pruned: float | None = None

    async def search(self, question: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The JSON answer to a question of less than a day ago, else the one `ask` brings."""
        file = self._folder / "search" / f"{hashlib.sha256(question.encode()).hexdigest()}.json"
        known = await asyncio.to_thread(_read_json, file)
        if isinstance(known, dict) and self._is_young(known.get("at"), SEARCH_KEPT):
            return known.get("answer")
        answer = await ask()
        content = json.dumps({"at": self._clock().isoformat(), "answer": answer}).encode()
        await asyncio.to_thread(self._write, file, content)
        return answer

    async def asset(
        self, name: str, credit: FootageCredit, download: Download
    ) -> FoundFootage | None:
        """The verified file of this name (letters, digits, dots and dashes) of the credit's
        provider, downloaded if it is not there; None when it is not sound."""
        if not name.replace("-", "").replace(".", "").isalnum() or name.startswith("."):
            raise ValueError(f"not a name for a cached file: {name!r}")
        target = self._folder / credit.provider / name
        found = await asyncio.to_thread(self._kept, target)
        if found is not None:
            return found
        bad = target.with_name(f"{name}.bad")
        refused = await asyncio.to_thread(_read_json, bad)
        if isinstance(refused, dict) and self._is_young(refused.get("at"), SEARCH_KEPT):
            return None
        await self._prune_now_and_then()
        try:
            return await self._fetch(target, credit, download)
        except Rejected as error:
            content = json.dumps({"at": self._clock().isoformat(), "reason": str(error)}).encode()
            await asyncio.to_thread(self._write, bad, content)
            return None

    async def _fetch(self, target: Path, credit: FootageCredit, download: Download) -> FoundFootage:
        with disk_trouble(f"keeping footage in {target.parent}", self._clock()):
            await asyncio.to_thread(make_folder, target.parent)
            part = target.with_name(f".{target.name}.{os.getpid()}-{time.monotonic_ns()}.part")
            try:
                await download(part)
                shape = await self._probe(part)
                sha256 = await asyncio.to_thread(digest, part)
                await asyncio.to_thread(part.replace, target)
            finally:
                part.unlink(missing_ok=True)
        entry = _Entry(credit, shape, sha256)
        # The companion comes last: a file without one is not known yet.
        await asyncio.to_thread(
            self._write, _companion(target), TypeAdapter(_Entry).dump_json(entry)
        )
        return _found(target, entry)

    def _kept(self, target: Path) -> FoundFootage | None:
        """The file as it was verified; None when it is not there or not that any more."""
        try:
            entry = TypeAdapter(_Entry).validate_json(_companion(target).read_bytes())
            if digest(target) != entry.sha256:
                return None
            os.utime(target)
            os.utime(_companion(target))
        except (FileNotFoundError, ValidationError):
            return None
        return _found(target, entry)

    def _is_young(self, at: Any, age: timedelta) -> bool:
        try:
            return timedelta(0) <= self._clock() - datetime.fromisoformat(at) < age
        except (TypeError, ValueError):
            return False

    def _write(self, file: Path, content: bytes) -> None:
        with disk_trouble(f"keeping footage in {file.parent}", self._clock()):
            make_folder(file.parent)
            write_durably(file, content)

    async def _prune_now_and_then(self) -> None:
        now = time.monotonic()
        if self._pruned is None or now - self._pruned > PRUNE_EVERY_SECONDS:
            self._pruned = now
            await asyncio.to_thread(self.prune)

    def prune(self) -> None:
        """Remove what nobody used for two weeks, and what a crash left."""
        now = self._clock().timestamp()
        for file in self._folder.glob("*/*"):
            left = file.name.endswith((".part", ".tmp"))
            kept = LEFTOVER_KEPT if left or file.parent.name == "search" else FILE_KEPT
            try:
                if now - file.stat().st_mtime > kept.total_seconds():
                    file.unlink()
            except FileNotFoundError:
                continue  # another process pruned it


def _companion(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _found(target: Path, entry: _Entry) -> FoundFootage:
    shape = entry.shape
    return FoundFootage(
        SceneFootage(
            target, entry.sha256, shape.is_video, shape.duration, shape.width, shape.height
        ),
        entry.credit,
    )


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
