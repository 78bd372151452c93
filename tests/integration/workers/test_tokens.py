"""Tokens of an account: stored sealed, renewed one at a time on all hosts."""

import asyncio
import json

from db.pool import Pool
from pipeline.providers.youtube_tokens import Credential, refresh
from tests.integration.workers.runs import value
from tests.services.youtube_server import YouTubeServer
from workers.secrets import SecretKeys
from workers.youtube import StoredTokens, seal_credential

KEYS = SecretKeys({"k": bytes(32)})


async def stored(pool: Pool, youtube: YouTubeServer) -> StoredTokens:
    account = youtube.world.add_account("UC_own")
    account_id = await pool.fetchval(
        "INSERT INTO youtube_accounts (email, channel_id, credentials) "
        "VALUES ('one@example.org', 'UC_own', '{}') RETURNING id"
    )
    credential = Credential(
        account.client_id, account.client_secret, account.refresh_token, account.scopes
    )
    fresh = await refresh(credential, token_uri=youtube.token_uri, account_id=account_id)
    await pool.execute(
        "UPDATE youtube_accounts SET credentials = $2 WHERE id = $1",
        account_id,
        seal_credential(KEYS, account_id, credential, fresh),
    )
    return StoredTokens(pool, KEYS, account_id, youtube.token_uri)


async def test_good_token_is_used_without_asking(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        tokens = await stored(pool, youtube)
        assert {await tokens.token(), await tokens.token()} == set(youtube.world.tokens)
        assert len(youtube.asked("token")) == 1


async def test_refused_token_is_renewed_once_for_all_who_hold_it(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        tokens = await stored(pool, youtube)
        old = await tokens.token()
        fresh = await asyncio.gather(*(tokens.token(refused=old) for _ in range(8)))
        assert len(set(fresh)) == 1
        assert fresh[0] != old
        assert len(youtube.asked("token")) == 2


async def test_token_near_its_end_is_renewed_before_it_is_used(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        youtube.world.token_life_seconds = 60
        tokens = await stored(pool, youtube)
        await tokens.token()
        assert len(youtube.asked("token")) == 2


async def test_nothing_of_it_is_stored_in_clear(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        tokens = await stored(pool, youtube)
        await tokens.token(refused=await tokens.token())
        row = str(await value(pool, "SELECT a::text FROM youtube_accounts a"))
        (account,) = youtube.world.accounts.values()
        for secret in (*youtube.world.tokens, account.refresh_token, account.client_secret):
            assert secret not in row
        sealed = json.loads(
            str(await value(pool, "SELECT credentials::text FROM youtube_accounts"))
        )
        assert sealed["key"] == "k"
