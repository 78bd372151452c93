"""A secret that is stored, renewed and used is nowhere to be read: not in the log, in a dump, in
what the server shows of its sessions and statements, in jobs, nor in error texts."""

import asyncio
import json
import logging
import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from db.embedded_binaries import find_binaries
from db.pool import Pool, transaction
from pipeline.errors import StageError
from pipeline.providers.youtube_tokens import Credential
from tests.services.account_network import Network
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Account, Fault
from workers.accounts.adding import NewAccount, add_account
from workers.accounts.key_rotation import reseal_all
from workers.accounts.trouble import afflict
from workers.accounts.youtube import StoredTokens
from workers.secrets import SecretKeys
from workers.settings import Settings

CANARY = "canary-do-not-tell"
KEYS = SecretKeys({"k": bytes(32)})
NEW_KEYS = SecretKeys({"n": b"\x01" * 32, "k": bytes(32)})


@pytest.fixture
def youtube() -> Iterator[YouTubeServer]:
    with YouTubeServer() as server:
        yield server


def canary(youtube: YouTubeServer) -> Account:
    return youtube.world.add_account(
        "UC_own", refresh_token=f"1//{CANARY}-refresh", client_secret=f"{CANARY}-client"
    )


async def shown_by_the_server(pool: Pool, stop: asyncio.Event) -> str:
    """All that pg_stat_activity shows while the others work."""
    seen: set[str] = set()
    while not stop.is_set():
        rows = await pool.fetch("SELECT a::text AS shown FROM pg_stat_activity a")
        seen |= {row["shown"] for row in rows}
        await asyncio.sleep(0.002)
    return "\n".join(seen)


async def test_canary_is_nowhere_to_be_read(
    pool: Pool,
    database_url: str,
    youtube: YouTubeServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    account = canary(youtube)
    settings = Settings.from_env(
        {
            "YTEMPIRE_HOST_PROVIDER": "youtube",
            "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
            "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
        }
    )
    credential = Credential(
        account.client_id, account.client_secret, account.refresh_token, account.scopes
    )
    stop = asyncio.Event()
    watching = asyncio.create_task(shown_by_the_server(pool, stop))
    new = NewAccount("one@example.org", credential, None, None, None, None, None)
    row = await add_account(settings, pool, KEYS, new)
    tokens = StoredTokens(pool, KEYS, row.id, youtube.token_uri)
    for _ in range(3):
        await tokens.token(refused=await tokens.token())
    told = await errors(pool, youtube, tokens, account, row.id)
    await reseal_all(pool, NEW_KEYS)
    stop.set()
    activity = await watching
    assert "youtube_accounts" in activity

    secrets = [CANARY, *youtube.world.tokens]
    printed = capfd.readouterr()
    places = {
        "pg_stat_activity": activity,
        "errors": told,
        "log": caplog.text,
        "stdout": printed.out,
        "stderr": printed.err,
        "settings and credential": f"{settings!r} {credential!r} {tokens!r} {KEYS!r}",
        "dump": dump(database_url),
    }
    assert "one@example.org" in places["dump"]
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, place


async def errors(
    pool: Pool, youtube: YouTubeServer, tokens: StoredTokens, account: Account, id_: UUID
) -> str:
    """Everything that goes wrong with the token, as text, and written to the account and a job."""
    said: list[Any] = []
    token = await tokens.token()
    faults = [
        Fault("token", status=503, times=9),  # google-auth tries some of them again
        Fault("token", kind="cut", times=9),
        Fault("token", status=400, body=json.dumps({"error": "invalid_grant"})),
    ]
    for fault in faults:
        youtube.world.faults.append(fault)
        with pytest.raises(StageError) as caught:
            await tokens.token(refused=token)
        youtube.world.faults.clear()
        said += [caught.value, repr(caught.value), caught.value.__cause__]
        if caught.value.trouble is not None:
            async with transaction(pool) as connection:
                await afflict(connection, caught.value.trouble, str(caught.value))
    network = Network(pool)
    run = await network.run(await network.channel("c"))
    await pool.execute(
        "INSERT INTO queue.job_queue (job_type, payload, last_error) VALUES ('maintenance.noop',"
        " jsonb_build_object('execution_id', $1::text), $2)",
        str(run.execution_id),
        str(said[0]),
    )
    await pool.execute('UPDATE youtube_accounts SET credentials = \'{"key": "k"}\'')
    with pytest.raises(StageError) as broken:
        await tokens.token()
    said.append(broken.value)
    return "\n".join(map(str, said))


def dump(database_url: str) -> str:
    """What pg_dump writes of the database."""
    done = subprocess.run(
        [str(find_binaries().bin_dir / "pg_dump"), "--dbname", database_url, "--inserts"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
