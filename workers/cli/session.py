"""What a command works with: settings, a migrated database, a small pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from db.embedded import database_url
from db.pool import Pool, open_pool
from workers.cli.output import stderr
from workers.settings import Settings

POOL_SIZE = 4


@dataclass(frozen=True, slots=True)
class Session:
    """An open database for the length of a command."""

    settings: Settings
    url: str
    pool: Pool


def read_settings() -> Settings:
    """The settings of this process; variables nobody reads are named on stderr."""
    settings = Settings.from_process()
    for warning in settings.unknown:
        stderr().print(f"warning: {warning}", style="yellow", markup=False)
    return settings


@asynccontextmanager
async def session() -> AsyncIterator[Session]:
    """Open the database of the settings: the embedded one is started and migrated if need be."""
    settings = read_settings()
    with database_url(settings) as url:
        pool = await open_pool(url, min_size=0, max_size=POOL_SIZE, application_name="ytempire cli")
        try:
            yield Session(settings, url, pool)
        finally:
            await pool.close()
