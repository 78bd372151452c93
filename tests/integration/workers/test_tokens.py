"""Tokens of an account: stored sealed, renewed one at a time on all hosts."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from db.pool import Pool, acquired
from db.repositories.accounts import Accounts
from pipeline.providers.youtube_tokens import Credential, refresh
from tests.integration.workers.runs import value
from tests.services.youtube_server import YouTubeServer
from workers.accounts.token_upkeep import renew_tokens
from workers.accounts.youtube import StoredTokens, seal_credential
from workers.secrets import SecretKeys
from workers.settings import Settings

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


async def test_no_transaction_is_open_while_google_answers(pool: Pool, database_url: str) -> None:
    open_ones: list[int] = []

    def look(_: object) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
            ).fetchone()
        open_ones.append(row[0] if row else -1)

    with YouTubeServer() as youtube:
        tokens = await stored(pool, youtube)
        youtube.world.hooks["token"] = look
        await tokens.token(refused=await tokens.token())
    assert open_ones == [0]


async def test_lease_of_a_dead_process_runs_out_and_the_next_renews(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        tokens = await stored(pool, youtube)
        old = await tokens.token()
        await pool.execute(
            "UPDATE youtube_accounts SET refresh_holder = gen_random_uuid(),"
            " refresh_until = clock_timestamp() + interval '1 second'"
        )
        waiting = asyncio.create_task(tokens.token(refused=old))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        assert await waiting != old
        assert await value(pool, "SELECT refresh_holder FROM youtube_accounts") is None


async def test_lease_that_was_lost_stores_nothing(pool: Pool) -> None:
    """Authorised anew while the old grant's token was renewed: the new one stays."""
    with YouTubeServer() as youtube:
        tokens = await stored(pool, youtube)
        old = await tokens.token()
        before = await value(pool, "SELECT credentials::text FROM youtube_accounts")
        async with acquired(pool) as connection:
            taken = await Accounts(connection).take_refresh(
                account_id=tokens.account_id, holder=uuid4(), lease_seconds=60
            )
            assert taken is not None
            await connection.execute(
                "UPDATE youtube_accounts SET refresh_holder = NULL, refresh_until = NULL"
            )
            assert not await Accounts(connection).set_credentials(
                account_id=tokens.account_id,
                credentials={"of": "a lost lease"},
                scopes=(),
                token_expires_at=datetime.now(UTC),
                holder=uuid4(),
            )
        assert await value(pool, "SELECT credentials::text FROM youtube_accounts") == before
        assert await tokens.token() == old


def settings_for(youtube: YouTubeServer) -> Settings:
    return Settings.from_env(
        {
            "YTEMPIRE_HOST_PROVIDER": "youtube",
            "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
            "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
        }
    )


async def test_tokens_are_renewed_ahead_of_their_end_once_by_all_hosts(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        youtube.world.token_life_seconds = 300
        await stored(pool, youtube)
        await pool.execute(
            "UPDATE youtube_accounts SET token_expires_at = now() + interval '5 minutes'"
        )
        youtube.world.token_life_seconds = 3599
        rounds = (renew_tokens(settings_for(youtube), pool, KEYS) for _ in range(3))
        await asyncio.gather(*rounds)
        assert len(youtube.asked("token")) == 2
        assert await renew_tokens(settings_for(youtube), pool, KEYS) == 0


async def test_dead_grant_benches_its_account_and_tells_the_operator_once(pool: Pool) -> None:
    with YouTubeServer() as youtube:
        await stored(pool, youtube)
        (account,) = youtube.world.accounts.values()
        account.token_error = "invalid_grant"
        await pool.execute("UPDATE youtube_accounts SET token_expires_at = now()")
        sealed = await value(pool, "SELECT credentials FROM youtube_accounts")
        old = json.loads(
            KEYS.open(
                sealed,  # type: ignore[arg-type]
                table="youtube_accounts",
                row=await value(pool, "SELECT id FROM youtube_accounts"),
                column="credentials",
            )
        )
        old["expires_at"] = datetime.now(UTC).isoformat()
        id_ = await value(pool, "SELECT id FROM youtube_accounts")
        await pool.execute(
            "UPDATE youtube_accounts SET credentials = $1",
            KEYS.seal(json.dumps(old), table="youtube_accounts", row=id_, column="credentials"),
        )
        for _ in range(2):
            assert await renew_tokens(settings_for(youtube), pool, KEYS) == 0
        row = await pool.fetchrow("SELECT state, health_score::int AS h FROM youtube_accounts")
        assert tuple(row or ()) == ("needs_reauth", 60)
        assert len(youtube.asked("token")) == 2  # the first made it, the second was refused
        assert await value(pool, "SELECT count(*) FROM notifications") == 1
