"""Reservations of many callers at once: exactly the capacity, in the right order, no deadlock."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

import asyncpg
import pytest

from db.pool import Pool, open_pool, transaction
from db.repositories.accounts import Account
from pipeline.errors import Deferred, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble
from tests.services.account_network import Network, Run
from workers.accounts.trouble import afflict

Outcome = Account | BaseException


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Pool]:
    """A pool in which 50 callers each have a connection."""
    opened = await open_pool(database_url, min_size=1, max_size=50)
    try:
        yield opened
    finally:
        await opened.close()


async def all_at_once(
    callers: int, calls: Sequence[Callable[[], Awaitable[Account]]]
) -> list[Outcome]:
    """Run the calls, so many at a time; each caller takes the next one when it is done."""
    waiting, outcomes = list(reversed(calls)), []

    async def caller() -> None:
        while waiting:
            call = waiting.pop()
            try:
                outcomes.append(await call())
            except Exception as error:
                outcomes.append(error)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return outcomes


def granted(outcomes: Sequence[Outcome]) -> Counter[UUID]:
    """Reservations by account; whatever is neither a grant nor a refusal fails the test."""
    for outcome in outcomes:
        if not isinstance(outcome, Account | Deferred):
            raise AssertionError(f"{type(outcome).__name__}: {outcome}") from outcome
    return Counter(outcome.id for outcome in outcomes if isinstance(outcome, Account))


def calls_for(network: Network, runs: Sequence[Run]) -> list[Callable[[], Awaitable[Account]]]:
    return [lambda run=run: network.reserve(run) for run in runs]  # type: ignore[misc]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("callers", "each"), [(20, 40), (50, 100)])
async def test_thousands_of_reservations_grant_exactly_the_capacity(
    crowd: Pool, callers: int, each: int
) -> None:
    """Two channels share ten accounts of two projects; a third of the demand is too much."""
    network = Network(crowd)
    left, right = await network.channel("left"), await network.channel("right")
    accounts = [
        await network.account(
            f"a{n}", [left, right], project=str(n % 2), upload_limit=each, is_reserve=n >= 8
        )
        for n in range(10)
    ]
    await network.limit("videos.insert", 5 * each)
    await network.limit("default", 100_000)
    runs = [*await network.runs(left, 7 * each), *await network.runs(right, 8 * each)]
    random.Random(7).shuffle(runs)
    grants = granted(await all_at_once(callers, calls_for(network, runs)))
    assert grants == dict.fromkeys(accounts, each)
    assert [await network.used(project, "videos.insert") for project in "01"] == [5 * each] * 2


async def test_no_reserve_serves_while_a_primary_could(crowd: Pool) -> None:
    network = Network(crowd)
    channel = await network.channel("c")
    for n in range(3):
        await network.account(f"p{n}", [channel], upload_limit=20)
    reserve = await network.account("r", [channel], upload_limit=20, is_reserve=True)
    early: list[int] = []

    async def watched(run: Run) -> Account:
        account = await network.reserve(run)
        if account.id == reserve:
            free = await crowd.fetchval(
                "SELECT sum(upload_limit - uploads_today) FROM youtube_accounts"
                " WHERE NOT is_reserve"
            )
            early.append(free)
        return account

    runs = await network.runs(channel, 90)
    outcomes = await all_at_once(30, [lambda run=run: watched(run) for run in runs])  # type: ignore[misc]
    assert sum(granted(outcomes).values()) == 80
    assert early == [0] * 20


async def test_project_without_inserts_is_full_whatever_its_accounts_have_left(
    crowd: Pool,
) -> None:
    network = Network(crowd)
    channel = await network.channel("c")
    for n in range(4):
        await network.account(f"a{n}", [channel], project=str(n % 2), upload_limit=50)
    await network.limit("videos.insert", 30)
    await network.limit("videos.insert", 7, project="1")
    outcomes = await all_at_once(25, calls_for(network, await network.runs(channel, 60)))
    assert sum(granted(outcomes).values()) == 37
    assert [await network.used(project, "videos.insert") for project in "01"] == [30, 7]
    refusals = {str(each) for each in outcomes if isinstance(each, Deferred)}
    assert any("project 0 has used 30 of its 30 videos.insert units" in each for each in refusals)


async def test_limits_lowered_under_way_stop_the_rest_and_trip_nothing(crowd: Pool) -> None:
    network = Network(crowd)
    channel = await network.channel("c")
    account = await network.account("a", [channel], upload_limit=500)
    runs, lowered = await network.runs(channel, 300), asyncio.Event()

    async def lower() -> Account:
        await crowd.execute("UPDATE youtube_accounts SET upload_limit = 3")
        lowered.set()
        raise Deferred("lowered", until=(await crowd.fetchval("SELECT now()")))

    async def late(run: Run) -> Account:
        await lowered.wait()
        return await network.reserve(run)

    before = calls_for(network, runs[:50])
    after = [lambda run=run: late(run) for run in runs[50:]]  # type: ignore[misc]
    outcomes = await all_at_once(20, [*before, lower, *after])
    used = await crowd.fetchval("SELECT uploads_today FROM youtube_accounts")
    assert granted(outcomes) == {account: used}
    assert 3 <= used <= 50


async def test_standing_that_changes_while_a_caller_waits_is_seen(crowd: Pool) -> None:
    """The caller picked the account by what it was; it is asked again under the lock."""
    network = Network(crowd)
    channel = await network.channel("c")
    first = await network.account("a", [channel])
    second = await network.account("b", [channel], health_score=50)
    run = await network.run(channel)
    async with transaction(crowd) as connection:
        await afflict(
            connection, AccountTrouble(first, AccountEffect.SUSPEND, "accountSuspended"), "Gone."
        )
        waiting = asyncio.create_task(network.reserve(run))
        await until_someone_waits(crowd)
    assert (await waiting).id == second


async def test_cooling_that_begins_while_a_caller_waits_defers_to_its_end(crowd: Pool) -> None:
    network = Network(crowd)
    channel = await network.channel("c")
    await network.account("a", [channel])
    run = await network.run(channel)
    async with transaction(crowd) as connection:
        until = await connection.fetchval(
            "UPDATE youtube_accounts SET state = 'cooling',"
            " cooldown_until = now() + interval '7 minutes' RETURNING cooldown_until"
        )
        waiting = asyncio.create_task(network.reserve(run))
        await until_someone_waits(crowd)
    with pytest.raises(Deferred) as caught:
        await waiting
    assert caught.value.until == until


async def test_accounts_in_opposite_orders_never_deadlock(crowd: Pool) -> None:
    """Channels name the same accounts; troubles of whole projects and ends go on meanwhile."""
    network = Network(crowd)
    channels = [await network.channel(f"c{n}") for n in range(6)]
    accounts = [
        await network.account(
            f"a{n}", random.Random(n).sample(channels, 3), project=str(n % 3), upload_limit=1000
        )
        for n in range(9)
    ]
    deadlocks_before = await deadlocks(crowd)
    runs = [run for channel in channels for run in await network.runs(channel, 60)]
    random.Random(3).shuffle(runs)
    chance = random.Random(5)

    async def bench() -> Account:
        async with transaction(crowd) as connection:
            trouble = AccountTrouble(chance.choice(accounts), AccountEffect.BENCH, "quotaExceeded")
            await afflict(connection, trouble, "No more.")
        raise Deferred("benched", until=(await crowd.fetchval("SELECT now()")))

    calls = [*calls_for(network, runs), *[bench] * 60]
    chance.shuffle(calls)
    outcomes = await all_at_once(50, calls)
    assert not [each for each in outcomes if not isinstance(each, Account | Deferred | Waiting)]
    assert await deadlocks(crowd) == deadlocks_before


async def deadlocks(pool: Pool) -> int:
    await pool.execute("SELECT pg_stat_clear_snapshot()")
    return int(
        await pool.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    )


async def until_someone_waits(pool: asyncpg.Pool) -> None:
    """Return once another connection of this database waits for a lock."""
    while not await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    ):
        await asyncio.sleep(0.01)
