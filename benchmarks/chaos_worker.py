"""The workers of `benchmarks.chaos`: `ytempire worker` with one fault armed and small films.

The control runs leave one of the product's safeguards out, by changing this process after it has
imported the product; nothing that the product reads can do that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import sys
from pathlib import Path
from typing import Any

import db.repositories.steps
import pipeline.providers.youtube_upload
import workers.calls.ledger
import workers.journal
from pipeline.calls import Answered
from pipeline.errors import LostClaim
from pipeline.hosting import UploadRecord
from pipeline.providers.youtube import YouTubeHost
from tests.services.faults import Fault, arm_faults, hurried
from tests.services.small_film import SmallFilms
from workers.cli import main
from workers.runtime import Runtime

REAL_FILMS_EVERY = 20


class MostlySmallFilms:
    """A small film for most runs, a real one for one of every `REAL_FILMS_EVERY`, by its seed."""

    def __init__(self, real: Any) -> None:
        self._real, self._small = real, SmallFilms()

    async def render(self, film: Any, **options: Any) -> Any:
        chosen = self._real if film.seed % REAL_FILMS_EVERY == 0 else self._small
        return await chosen.render(film, **options)


def run(faults: str, fired: str, *arguments: str) -> None:
    """Be the worker, with the faults armed; a job is struck once, whoever has it."""

    def wire(runtime: Runtime) -> Runtime:
        films = MostlySmallFilms(runtime.renderer)
        return hurried(dataclasses.replace(runtime, renderer=films, chance=random.Random()))

    arm_faults(
        [Fault(**fault) for fault in json.loads(faults)],
        fired=Path(fired),
        spared=Path(fired).with_name("struck"),
        wire=wire,
    )
    sys.argv = ["ytempire", *arguments]
    main()


def run_without_fence(*arguments: str) -> None:
    """Whoever once claimed a step goes on writing to it."""

    async def owned(self: Any, **_: Any) -> bool:
        return True

    db.repositories.steps.Steps.owned = owned  # type: ignore[method-assign]
    journal = workers.journal.CommittedJournal
    for name in ("session_opened", "uploaded"):
        setattr(journal, name, _heedless(getattr(journal, name)))
    run(*arguments)


def _heedless(write: Any) -> Any:
    async def written(self: Any, value: str) -> None:
        with contextlib.suppress(LostClaim):
            await write(self, value)

    return written


def run_without_ledger(*arguments: str) -> None:
    """A call is made whenever somebody wants its answer."""

    async def make(self: Any, call: Any) -> Answered:
        from uuid import uuid4

        async def note(_: str) -> None:
            """Nobody keeps it."""

        answer = await call.send(uuid4(), note)
        return Answered(answer, call.judge(answer).charge)

    workers.calls.ledger.CommittedCalls.make = make  # type: ignore[method-assign]
    run(*arguments)


def run_without_two_phase(*arguments: str) -> None:
    """Uploaded public at once, and nothing is looked up before it is uploaded again."""
    body = pipeline.providers.youtube_upload.insert_body

    def public(draft: Any) -> dict[str, Any]:
        resource = body(draft)
        resource["status"]["privacyStatus"] = "public"
        return resource

    pipeline.providers.youtube_upload.insert_body = public
    journal = workers.journal.CommittedJournal
    begin = journal._begin

    async def forgetful(self: Any, sha256: str, size_bytes: int) -> UploadRecord:
        record = await begin(self, sha256, size_bytes)
        return dataclasses.replace(record, fresh=True, session_uri=None, video_id=None)

    async def find(self: Any, marker: str) -> None:
        return None

    journal._begin = forgetful  # type: ignore[method-assign]
    YouTubeHost.find = find  # type: ignore[method-assign,assignment]
    run(*arguments)
