"""Accounts are reserved exactly, and an upload stays with the account it began with."""

import asyncio
from datetime import UTC, datetime

import pytest

from db.pool import Pool, transaction
from db.repositories.accounts import Account, Accounts
from db.repositories.steps import Steps
from pipeline.domain import StageName, Visibility
from pipeline.errors import Deferred, LostClaim, Rejected
from pipeline.hosting import Publication
from tests.integration.workers.runs import add_channel, begin, value
from workers.accounts.reservation import reserve_account
from workers.accounts.trouble import spend
from workers.journal import CommittedJournal
from workers.runs.starting import Started
from workers.secrets import SecretKeys


async def reserve(pool: Pool, run: Started) -> Account:
    channel = await value(pool, "SELECT id FROM channels")
    return await reserve_account(
        pool,
        execution_id=run.execution_id,
        channel_id=channel,  # type: ignore[arg-type]
        video_id=run.video_id,
    )


async def test_capacity_is_granted_exactly_and_the_rest_waits_for_the_pacific_day(
    pool: Pool,
) -> None:
    await add_channel(pool)
    await pool.execute("UPDATE youtube_accounts SET upload_limit = 5")
    runs = [await begin(pool) for _ in range(20)]
    outcomes = await asyncio.gather(*(reserve(pool, run) for run in runs), return_exceptions=True)
    granted = [outcome for outcome in outcomes if isinstance(outcome, Account)]
    deferred = [outcome for outcome in outcomes if isinstance(outcome, Deferred)]
    assert (len(granted), len(deferred)) == (5, 15)
    assert await value(pool, "SELECT uploads_today FROM youtube_accounts") == 5
    # Nobody has sent anything yet: the first hold to run out may give an upload back.
    first = await value(pool, "SELECT min(expires_at) FROM account_reservations")
    assert {each.until for each in deferred} == {first}
    for run in runs:
        async with transaction(pool) as connection:
            await spend(connection, execution_id=run.execution_id, account_id=granted[0].id)
    with pytest.raises(Deferred) as caught:
        await reserve(pool, await begin(pool))
    midnight = caught.value.until
    assert midnight > datetime.now(UTC)
    los_angeles = await value(
        pool, "SELECT ($1::timestamptz AT TIME ZONE 'America/Los_Angeles')::time::text", midnight
    )
    assert los_angeles == "00:00:00"


async def test_repeated_reservation_is_the_same_and_counts_once(pool: Pool) -> None:
    await add_channel(pool)
    run = await begin(pool)
    first, second = await reserve(pool, run), await reserve(pool, run)
    assert first.id == second.id
    assert await value(pool, "SELECT uploads_today FROM youtube_accounts") == 1


async def test_yesterdays_uploads_do_not_count_today(pool: Pool) -> None:
    await add_channel(pool)
    await pool.execute(
        "UPDATE youtube_accounts SET upload_limit = 1, uploads_today = 1, "
        "quota_date = quota_date - 1"
    )
    await reserve(pool, await begin(pool))
    assert await value(pool, "SELECT uploads_today FROM youtube_accounts") == 1


async def test_channel_without_an_account_is_refused(pool: Pool) -> None:
    await add_channel(pool)
    await pool.execute("DELETE FROM channel_accounts")
    with pytest.raises(Rejected, match="no account may upload"):
        await reserve(pool, await begin(pool))


async def test_journal_keeps_one_attempt_and_refuses_a_lost_claim(pool: Pool) -> None:
    await add_channel(pool)
    run = await begin(pool)
    account = await reserve(pool, run)

    async def claimed() -> CommittedJournal:
        async with transaction(pool) as connection:
            await connection.execute("UPDATE queue.job_queue SET status = 'completed'")
            claim = await Steps(connection).claim(
                execution_id=run.execution_id, step=StageName.UPLOAD, job_id=run.job_id
            )
        assert claim is not None
        return CommittedJournal(
            pool,
            step_id=claim.id,
            fence=claim.fence,
            video_id=run.video_id,
            execution_id=run.execution_id,
            account=account,
            expected_channel_id="local-tests",
            keys=SecretKeys({"test": bytes(32)}),
        )

    zombie = await claimed()
    begun = await zombie.begin("a" * 64, 10)
    assert begun.fresh
    await zombie.session_opened("session-1")
    kept = await value(pool, "SELECT session_uri::text FROM video_uploads")
    assert "session-1" not in str(kept)

    owner = await claimed()
    resumed = await owner.begin("a" * 64, 10)
    assert (resumed.marker, resumed.session_uri, resumed.fresh) == (
        begun.marker,
        "session-1",
        False,
    )
    with pytest.raises(LostClaim):
        await zombie.uploaded("video-of-the-zombie")
    await owner.uploaded("video-1")
    assert (await owner.begin("a" * 64, 10)).video_id == "video-1"
    assert not owner.published_before

    publication = Publication(
        "video-1", "file:///v", "local-tests", Visibility.PUBLIC, datetime.now(UTC)
    )
    with pytest.raises(LostClaim):
        await zombie.published(publication)
    await owner.published(publication)
    assert await value(pool, "SELECT status FROM videos") == "published"
    assert await value(pool, "SELECT youtube_video_id FROM videos") == "video-1"
    later = await claimed()
    assert (await later.begin("a" * 64, 10)).video_id == "video-1"
    assert later.published_before
    assert await value(pool, "SELECT count(*) FROM video_uploads") == 1


async def test_account_of_an_unresolved_upload_is_kept(pool: Pool) -> None:
    """Another account would not find what the first one may have published."""
    await add_channel(pool)
    run = await begin(pool)
    first = await reserve(pool, run)
    async with transaction(pool) as connection:
        accounts = Accounts(connection)
        better = await accounts.insert(
            email="better@localhost",
            account_name="better",
            provider="local",
            channel_id="local-tests",
            credentials={},
            upload_limit=100,
        )
        channel = await connection.fetchval("SELECT id FROM channels")
        await accounts.allow(channel_id=channel, account_id=better, is_primary=False)
        await connection.execute(
            "UPDATE youtube_accounts SET health_score = 10 WHERE id = $1", first.id
        )
        await connection.execute(
            "INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, fence, marker, "
            "file_sha256, size_bytes, status) "
            "VALUES ($1, $2, $3, 1, 'yte-x', repeat('a', 64), 1, 'unknown')",
            run.video_id,
            run.execution_id,
            first.id,
        )
        await connection.execute("UPDATE account_reservations SET status = 'released'")
    assert (await reserve(pool, run)).id == first.id
