"""What a refusal means for its account, and when another account may go on."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from db.repositories.accounts import Account, Accounts
from pipeline.errors import Deferred, Rejected, StageError, Transient, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble
from tests.integration.workers.runs import add_channel, begin, value
from workers.accounts.reservation import reserve_account
from workers.accounts.trouble import after_trouble, spend, switch, write_trouble
from workers.runs.starting import Started

UNTIL = datetime.now(UTC) + timedelta(hours=24)


class Desk:
    """A channel with two accounts, `first` picked before `second`, and a run that holds `first`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def open(self) -> None:
        self.channel: UUID = (await add_channel(self.pool)).id
        async with transaction(self.pool) as connection:
            accounts = Accounts(connection)
            self.second = await accounts.insert(
                email="second@localhost",
                account_name="second",
                provider="local",
                channel_id="local-tests",
                credentials={},
                upload_limit=100,
            )
            await accounts.allow(channel_id=self.channel, account_id=self.second, is_primary=False)
            await connection.execute(
                "UPDATE youtube_accounts SET is_reserve = true WHERE id = $1", self.second
            )
        self.run = await begin(self.pool)
        self.first = (await self.reserve()).id
        assert self.first != self.second

    async def reserve(self, run: Started | None = None) -> Account:
        run = run or self.run
        return await reserve_account(
            self.pool,
            execution_id=run.execution_id,
            channel_id=self.channel,
            video_id=run.video_id,
        )

    async def attempt(self, status: str, session: str | None) -> None:
        await self.pool.execute(
            "INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, fence, marker, "
            "file_sha256, size_bytes, status, session_uri) "
            "VALUES ($1, $2, $3, 1, 'yte-x', repeat('a', 64), 1, $4, $5)",
            self.run.video_id,
            self.run.execution_id,
            self.first,
            status,
            {"sealed": session} if session else None,
        )

    def trouble(self, effect: AccountEffect, until: datetime | None = None) -> AccountTrouble:
        return AccountTrouble(self.first, effect, "aReason", until, rotate=True)

    async def settle(self, error: StageError) -> StageError:
        become = await after_trouble(
            self.pool,
            error,
            execution_id=self.run.execution_id,
            channel_id=self.channel,
            video_id=self.run.video_id,
        )
        async with transaction(self.pool) as connection:
            await write_trouble(
                connection,
                become,
                execution_id=self.run.execution_id,
                video_id=self.run.video_id,
            )
        return become

    async def state(self, account: UUID) -> tuple[str, int]:
        row = await self.pool.fetchrow(
            "SELECT state, health_score::int AS h FROM youtube_accounts WHERE id = $1", account
        )
        assert row is not None
        return row["state"], row["h"]


@pytest.fixture
async def desk(pool: Pool) -> Desk:
    made = Desk(pool)
    await made.open()
    return made


@pytest.mark.parametrize(
    ("effect", "state"),
    [
        (AccountEffect.COOL, ("cooling", 90)),
        (AccountEffect.REAUTHORISE, ("needs_reauth", 60)),
        (AccountEffect.DISABLE, ("disabled", 0)),
        (AccountEffect.SUSPEND, ("suspended", 0)),
        (AccountEffect.DOUBT, ("cooling", 85)),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
async def test_other_account_goes_on_when_nothing_was_sent(
    desk: Desk, effect: AccountEffect, state: tuple[str, int], begun: bool
) -> None:
    if begun:
        await desk.attempt("reserved", None)
    until = UNTIL if state[0] == "cooling" else None
    become = await desk.settle(Waiting("refused", trouble=desk.trouble(effect, until)))
    assert isinstance(become, Deferred)
    assert become.until <= datetime.now(UTC)
    assert await desk.state(desk.first) == state
    assert await desk.state(desk.second) == ("ready", 100)
    assert (await desk.reserve()).id == desk.second
    event = await desk.pool.fetchrow("SELECT event, reason, health_after::int FROM account_events")
    assert tuple(event or ()) == (effect.value, "aReason", state[1])


@pytest.mark.parametrize("status", ["reserved", "uploading", "unknown", "uploaded"])
async def test_account_of_an_upload_that_may_have_sent_bytes_stays(desk: Desk, status: str) -> None:
    await desk.attempt(status, "a session")
    error = Deferred("refused", until=UNTIL, trouble=desk.trouble(AccountEffect.COOL, UNTIL))
    assert await desk.settle(error) is error
    assert (await desk.state(desk.first))[0] == "cooling"
    assert (await desk.reserve()).id == desk.first


async def test_sole_account_waits_for_its_own_end(desk: Desk) -> None:
    await desk.pool.execute("DELETE FROM youtube_accounts WHERE id = $1", desk.second)
    error = Deferred("refused", until=UNTIL, trouble=desk.trouble(AccountEffect.COOL, UNTIL))
    assert await desk.settle(error) is error
    with pytest.raises(Deferred) as caught:
        await desk.reserve()
    assert caught.value.until == UNTIL
    await desk.pool.execute("UPDATE youtube_accounts SET cooldown_until = now() - interval '1 s'")
    assert (await desk.reserve()).id == desk.first
    assert (await desk.state(desk.first))[0] == "ready"


async def test_project_is_benched_as_a_whole(desk: Desk) -> None:
    await desk.pool.execute("UPDATE youtube_accounts SET quota_project_id = 'p'")
    error = Deferred("quota", until=UNTIL, trouble=desk.trouble(AccountEffect.BENCH, UNTIL))
    assert await desk.settle(error) is error
    assert [await desk.state(each) for each in (desk.first, desk.second)] == [("cooling", 100)] * 2
    assert await value(desk.pool, "SELECT count(*) FROM account_events") == 2


async def test_ambiguous_refusal_rotates_once_and_then_fails(desk: Desk) -> None:
    first = Rejected("forbidden", trouble=desk.trouble(AccountEffect.DOUBT, UNTIL))
    assert isinstance(await desk.settle(first), Deferred)
    await desk.reserve()
    await desk.pool.execute("UPDATE youtube_accounts SET cooldown_until = NULL")
    again = Rejected("forbidden", trouble=desk.trouble(AccountEffect.DOUBT, UNTIL))
    assert await desk.settle(again) is again


async def test_only_a_person_lifts_what_needs_one_and_is_told_once(desk: Desk) -> None:
    for effect in (AccountEffect.SUSPEND, AccountEffect.REAUTHORISE, AccountEffect.COOL):
        await desk.settle(Waiting("refused", trouble=desk.trouble(effect)))
    assert (await desk.state(desk.first))[0] == "suspended"
    told = await desk.pool.fetch("SELECT title FROM notifications")
    assert len(told) == 1
    await desk.pool.execute("DELETE FROM youtube_accounts WHERE id = $1", desk.second)
    with pytest.raises(Waiting, match="account resume"):
        await desk.reserve(await begin(desk.pool))


async def test_channels_health_is_apart_from_its_accounts(desk: Desk) -> None:
    async def health() -> object:
        return await value(desk.pool, "SELECT health_score FROM channels")

    await desk.settle(Waiting("gone", trouble=desk.trouble(AccountEffect.REAUTHORISE)))
    assert await health() == 100
    await desk.settle(
        Deferred("no more", until=UNTIL, trouble=desk.trouble(AccountEffect.COOL, UNTIL))
    )
    assert await health() == 95
    await desk.settle(Rejected("duplicate"))  # at another step it says nothing of the channel
    assert await health() == 95
    await desk.pool.execute("UPDATE workflow_executions SET current_step = 'analytics_pull'")
    await desk.settle(Rejected("the host rejected the video: duplicate"))
    assert await health() == 75
    assert await value(desk.pool, "SELECT last_error FROM channels") == (
        "the host rejected the video: duplicate"
    )


async def test_fifth_trouble_of_youtubes_own_in_a_row_makes_the_account_rest(desk: Desk) -> None:
    """Each costs three points; a published video ends the row."""
    for _ in range(4):
        trouble = AccountTrouble(desk.first, AccountEffect.HICCUP, "backendError")
        await desk.settle(Transient("503", trouble=trouble))
    assert await desk.state(desk.first) == ("ready", 88)
    await desk.settle(Transient("503", trouble=trouble))
    assert await desk.state(desk.first) == ("cooling", 85)
    rest = await value(desk.pool, "SELECT max(cooldown_until) - now() FROM youtube_accounts")
    assert timedelta(minutes=14) < rest <= timedelta(minutes=15)  # type: ignore[operator]
    async with transaction(desk.pool) as connection:
        await spend(connection, execution_id=desk.run.execution_id, account_id=desk.first)
    row = await desk.pool.fetchrow(
        "SELECT consecutive_errors, round(health_score) AS health FROM youtube_accounts"
        " WHERE id = $1",
        desk.first,
    )
    assert tuple(row or ()) == (0, 90)
    events = await desk.pool.fetch("SELECT event FROM account_events ORDER BY id")
    assert [event["event"] for event in events] == ["transient_error"] * 5 + ["published"]


async def test_operator_who_resumes_an_account_lets_it_serve_at_once(desk: Desk) -> None:
    await desk.settle(Waiting("gone", trouble=desk.trouble(AccountEffect.SUSPEND)))
    assert await desk.state(desk.first) == ("suspended", 0)
    async with transaction(desk.pool) as connection:
        await switch(connection, desk.first, is_active=True, reason="appealed")
    assert await desk.state(desk.first) == ("ready", 50)
    event = await desk.pool.fetchrow(
        "SELECT event, reason, round(health_before) AS before, round(health_after) AS after"
        " FROM account_events ORDER BY id DESC LIMIT 1"
    )
    assert tuple(event or ()) == ("resumed", "appealed", 0, 50)
