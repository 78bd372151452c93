"""What `benchmarks.chaos` plays in: channels, accounts with tight limits, and runs by name."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import math
import os
import string
from collections.abc import Mapping
from pathlib import Path

import httpx

from db import migrate
from db.pool import open_pool, transaction
from tests.services import elevenlabs_server, openai_server
from workers.accounts.adding import NewAccount, add_account, parse_credentials
from workers.channels import NewChannel, add_youtube_channel
from workers.runs.starting import RunRequest, start_run
from workers.secrets import secret_keys
from workers.settings import Settings

CHANNELS = 4
# Two accounts a channel: the first alone cannot upload all of its runs, both can, and some more
# for uploads whose session was lost with a worker.
SHARE, SLACK = 0.6, 12
BOUNDLESS = 1_000_000_000
QUOTA = """UPDATE system_config SET value = jsonb_set(value, '{limits}', value->'limits' || $1)
            WHERE key = 'youtube.quota'"""


@dataclasses.dataclass(frozen=True)
class Channel:
    name: str
    youtube: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """`limits`: uploads a day by account, as the services name it; `inserts`: requests of
    videos.insert a day and project."""

    environment: Mapping[str, str]
    channels: tuple[Channel, ...]
    limits: Mapping[str, int]
    inserts: int

    def channel_of(self, number: int) -> Channel:
        return self.channels[number % len(self.channels)]


def name_of(number: int) -> str:
    """A word for a run, by which everything that is done for it can be told."""
    letters = ""
    for _ in range(4):
        number, digit = divmod(number, 26)
        letters = string.ascii_lowercase[digit] + letters
    return f"X{letters}"


def limit_of(runs: int) -> int:
    """The uploads a day of each account."""
    return math.ceil(math.ceil(runs / CHANNELS) * SHARE) + SLACK


def inserts_of(runs: int) -> int:
    """The requests of videos.insert a day of each project: a few are spent on lost sessions."""
    return round(limit_of(runs) * 1.1) + SLACK


def set_up(url: str, folder: Path, services: Mapping[str, str], *, runs: int) -> Setting:
    """Migrate, and add channels and accounts."""
    migrate.upgrade(url)
    environment = {
        "DATABASE_URL": url,
        "YTEMPIRE_DATA_DIR": str(folder),
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "YTEMPIRE_SCRIPT_PROVIDER": "openai",
        "OPENAI_API_KEY": openai_server.KEY,
        "YTEMPIRE_VOICE_PROVIDER": "elevenlabs",
        "ELEVENLABS_API_KEY": elevenlabs_server.KEY,
        "YTEMPIRE_ELEVENLABS_FORMAT": "pcm_24000",
        "YTEMPIRE_HOST_PROVIDER": "youtube",
        "YTEMPIRE_GOOGLE_API_ROOT": services["youtube"],
        "YTEMPIRE_GOOGLE_TOKEN_URI": services["token_uri"],
        "YTEMPIRE_SECRET_KEYS": "k1:" + base64.b64encode(b"k" * 32).decode(),
    }
    channels = tuple(Channel(f"channel-{n}", f"UC_chaos_{n}") for n in range(CHANNELS))
    limits: dict[str, int] = {}
    asyncio.run(_add(url, Settings.from_env(environment), services, channels, limits, runs))
    return Setting(environment, channels, limits, inserts_of(runs))


async def _add(
    url: str,
    settings: Settings,
    services: Mapping[str, str],
    channels: tuple[Channel, ...],
    limits: dict[str, int],
    runs: int,
) -> None:
    pool = await open_pool(url)
    limit = limit_of(runs)
    try:
        await pool.execute(QUOTA, {"videos.insert": inserts_of(runs), "default": BOUNDLESS})
        for number, channel in enumerate(channels):
            async with transaction(pool) as connection:
                await add_youtube_channel(
                    connection,
                    NewChannel(
                        name=channel.name,
                        resolution="360p",
                        youtube_channel_id=channel.youtube,
                    ),
                )
            for reserve in (False, True):
                name = f"secret-{number}-{'reserve' if reserve else 'first'}"
                await add_account(
                    settings,
                    pool,
                    secret_keys(settings),
                    NewAccount(
                        email=f"{name}@example.org",
                        credential=parse_credentials(json.dumps(_account(services, channel, name))),
                        channel=channel.name,
                        project=name,
                        is_reserve=reserve,
                        upload_limit=limit,
                        quota_limit=BOUNDLESS,
                    ),
                )
                limits[name] = limit
    finally:
        await pool.close()


def _account(services: Mapping[str, str], channel: Channel, name: str) -> dict[str, object]:
    answer = httpx.post(
        f"{services['youtube']}/_admin/accounts",
        json={"channel_id": channel.youtube, "client_secret": name, "project": name},
    )
    answer.raise_for_status()
    credentials: dict[str, object] = answer.json()
    return credentials


def start_runs(url: str, setting: Setting, first: int, last: int) -> None:
    """Start the runs of these numbers; a repeat starts none twice."""

    async def start() -> None:
        pool = await open_pool(url, max_size=2)
        try:
            for number in range(first, last):
                name = name_of(number)
                request = RunRequest(
                    channel=setting.channel_of(number).name,
                    topic=f"Ice {name}",
                    facts=(f"Ice floats in {name}.",),
                )
                async with transaction(pool) as connection:
                    await start_run(connection, request, idempotency_key=f"chaos-{number}")
        finally:
            await pool.close()

    asyncio.run(start())
