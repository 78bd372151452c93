"""Everything a process works with, built from its settings; the only place that names adapters."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from imageio_ffmpeg import get_ffmpeg_exe

from db.pool import Pool, open_pool
from db.repositories.accounts import Account
from pipeline.errors import Rejected
from pipeline.ports import (
    ArtifactStore,
    Narrator,
    Renderer,
    ScriptWriter,
    VideoHost,
    VideoStatistics,
)
from pipeline.providers.host_local import LocalHost
from pipeline.providers.narrator_local import EspeakNarrator
from pipeline.providers.store import ObjectStore
from pipeline.providers.writer_local import TemplateWriter
from pipeline.render.encoder import RenderOptions
from pipeline.render.renderer import FilmRenderer
from workers.settings import Settings, SettingsError


class Host(VideoHost, VideoStatistics, Protocol):
    """A host seen through one account: it takes videos and tells what became of them."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The open resources of a process and the adapters chosen in its settings."""

    settings: Settings
    pool: Pool
    store: ArtifactStore
    writer: ScriptWriter
    narrator: Narrator
    renderer: Renderer
    host_for: Callable[[Account, str], Host]
    chance: random.Random

    @property
    def scratch(self) -> Path:
        """Where stages may write what only this host needs, and only until the run has ended."""
        return self.settings.data_dir / "work"


def published_folder(settings: Settings) -> Path:
    """Where the embedded host publishes."""
    return settings.data_dir / "published"


@asynccontextmanager
async def open_runtime(
    settings: Settings, url: str, *, name: str = "ytempire", pool_size: int = 10
) -> AsyncIterator[Runtime]:
    """Open the pool and build the adapters; closes them at the end.

    Raises `db.errors.Unavailable` when the database does not answer.
    """

    def host_for(account: Account, channel_name: str) -> Host:
        if account.channel_id is None:
            raise Rejected(f"account {account.email} belongs to no channel")
        return LocalHost(
            published_folder(settings),
            channel_id=account.channel_id,
            channel_name=channel_name,
            clock=lambda: datetime.now(UTC),
        )

    try:
        store = ObjectStore(_artifact_url(settings), _object_store_options(settings))
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_ARTIFACT_URL: {error}") from error
    pool = await open_pool(url, max_size=pool_size, application_name=name)
    try:
        yield Runtime(
            settings=settings,
            pool=pool,
            store=store,
            writer=TemplateWriter(),
            narrator=EspeakNarrator(),
            renderer=FilmRenderer(RenderOptions(ffmpeg=Path(get_ffmpeg_exe()))),
            host_for=host_for,
            chance=random.Random(),  # noqa: S311 - spreads retries, guards nothing
        )
    finally:
        await pool.close()


def _artifact_url(settings: Settings) -> str:
    return settings.artifact_url or (settings.data_dir / "artifacts").as_uri()


def _object_store_options(settings: Settings) -> dict[str, str]:
    given = {
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
        "AWS_SESSION_TOKEN": settings.aws_session_token,
        "AWS_REGION": settings.aws_region,
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url,
    }
    return {name: value for name, value in given.items() if value is not None}
