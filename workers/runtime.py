"""Everything a process works with, built from its settings."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from db.pool import Pool, open_pool
from pipeline.ports import ArtifactStore, CallLedger, Footage, Renderer
from pipeline.providers.store import ObjectStore
from pipeline.render.encoder import RenderOptions
from pipeline.render.renderer import FilmRenderer
from workers.callbacks.client import CallbackSender
from workers.calls.book import Holder
from workers.calls.budgets import Limits
from workers.calls.gate import ProviderGate
from workers.calls.ledger import CommittedCalls
from workers.calls.spool import FOLDER as SPOOL_FOLDER
from workers.calls.spool import Spool
from workers.calls.under_way import UnderWay
from workers.registry import (
    FOOTAGE,
    HOSTS,
    NARRATORS,
    SCRIPT_WRITERS,
    HostFor,
    NarratorFor,
    WriterFor,
    check_feeds,
    vendor_gates,
)
from workers.secrets import SecretKeys, secret_keys
from workers.settings import Settings, SettingsError
from workers.vendors.standing import refuse_bad_keys


@dataclass(frozen=True, slots=True)
class Runtime:
    """The open resources of a process and the adapters chosen in its settings."""

    settings: Settings
    pool: Pool
    store: ArtifactStore
    writer_for: WriterFor
    narrator_for: NarratorFor
    footage: Footage
    renderer: Renderer
    host_for: HostFor
    gates: Mapping[str, ProviderGate]
    spool: Spool
    under_way: UnderWay
    keys: SecretKeys
    chance: random.Random
    callbacks: CallbackSender

    @property
    def scratch(self) -> Path:
        """Where stages may write what only this host needs, and only until the run has ended."""
        return self.settings.data_dir / "work"

    def calls_for(self, holder: Holder) -> CallLedger:
        """The call ledger of one claim of a step."""
        return CommittedCalls(
            self.pool,
            holder,
            store=self.store,
            spool=self.spool,
            gates=self.gates,
            under_way=self.under_way,
            limits=Limits(self.settings.max_cost_per_video, self.settings.max_cost_per_day),
        )


@asynccontextmanager
async def open_runtime(
    settings: Settings, url: str, *, name: str = "ytempire", pool_size: int = 10
) -> AsyncIterator[Runtime]:
    """Open the pool and build the adapters; closes them at the end.

    Raises `db.errors.Unavailable` when the database does not answer, `SettingsError` for settings
    that a chosen adapter cannot work with.
    """
    await check_feeds(settings)
    async with AsyncExitStack() as stack:
        await refuse_bad_keys(settings)
        pool = await open_pool(url, max_size=pool_size, application_name=name)
        stack.push_async_callback(pool.close)
        under_way = UnderWay()
        keys = secret_keys(settings)
        runtime = Runtime(
            settings=settings,
            pool=pool,
            store=artifact_store(settings),
            writer_for=SCRIPT_WRITERS[settings.script_provider](settings, pool, stack),
            narrator_for=NARRATORS[settings.voice_provider](settings, pool, stack),
            footage=FOOTAGE[settings.footage_provider](settings, pool, stack),
            renderer=FilmRenderer(RenderOptions(ffmpeg=Path(get_ffmpeg_exe()))),
            host_for=HOSTS[settings.host_provider](settings, pool, stack),
            gates=vendor_gates(settings, pool),
            spool=Spool(settings.data_dir / SPOOL_FOLDER, keys),
            under_way=under_way,
            keys=keys,
            chance=random.Random(),  # noqa: S311 - spreads retries, guards nothing
            callbacks=CallbackSender(),
        )
        # The last to be opened is the first to be closed: before the clients of the vendors.
        stack.push_async_callback(under_way.close)
        yield runtime


def artifact_store(settings: Settings) -> ArtifactStore:
    """The store of the settings. Raises `SettingsError` for an address that is none."""
    try:
        return ObjectStore(_artifact_url(settings), _object_store_options(settings))
    except ValueError as error:
        raise SettingsError(f"YTEMPIRE_ARTIFACT_URL: {error}") from error


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
