"""What the doctor says of YouTube accounts."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.pool import Pool, transaction
from pipeline.providers.youtube_tokens import Credential
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Account
from workers.accounts.adding import NewAccount, add_account
from workers.channels import NewChannel, add_youtube_channel
from workers.doctor.finding import Examined, Level
from workers.doctor.youtube import accounts
from workers.secrets import secret_keys
from workers.settings import Settings


class Desk:
    youtube: YouTubeServer
    settings: Settings
    pool: Pool
    account: Account

    async def told(self) -> list[tuple[Level, str]]:
        found = await accounts(Examined(self.settings, "", self.pool))
        return [(finding.level, finding.message) for finding in found]


@pytest.fixture
async def desk(pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    with YouTubeServer() as youtube:
        desk = Desk()
        desk.youtube, desk.pool = youtube, pool
        desk.settings = Settings.from_env(
            {
                "YTEMPIRE_DATA_DIR": str(tmp_path),
                "DATABASE_URL": "postgresql://given-by-the-pool",
                "YTEMPIRE_HOST_PROVIDER": "youtube",
                "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
                "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
                "YTEMPIRE_SECRET_KEYS": "k:" + base64.b64encode(bytes(32)).decode(),
            }
        )
        desk.account = youtube.world.add_account("UC_own")
        yield desk


async def add(desk: Desk) -> None:
    account = desk.account
    async with transaction(desk.pool) as connection:
        await add_youtube_channel(connection, NewChannel("tests", youtube_channel_id="UC_own"))
    credential = Credential(
        account.client_id, account.client_secret, account.refresh_token, account.scopes
    )
    new = NewAccount("one@example.org", credential, "tests", None, False, 5, 10_000)
    await add_account(desk.settings, desk.pool, secret_keys(desk.settings), new)


async def test_no_account_is_an_error(desk: Desk) -> None:
    ((level, message),) = await desk.told()
    assert (level, message) == (Level.ERROR, "there is no YouTube account")


async def test_account_that_works_is_told_with_its_headroom(desk: Desk) -> None:
    await add(desk)
    (level, message), (units_level, units), *rest = await desk.told()
    assert (level, units_level, rest) == (Level.OK, Level.OK, [])
    assert "UC_own; 5 uploads left" in message
    assert "of 10,000 units of default left until" in units
    await desk.pool.execute("UPDATE youtube_accounts SET uploads_today = 5")
    assert (await desk.told())[1][0] is Level.WARNING


async def test_account_that_cannot_serve_is_an_error(desk: Desk) -> None:
    await add(desk)
    desk.account.channel_id = "UC_other"
    assert "UC_other by now" in (await desk.told())[0][1]
    desk.youtube.world.tokens.clear()
    desk.account.token_error = "invalid_grant"
    (level, message), *_ = await desk.told()
    assert level is Level.ERROR
    assert "invalid_grant" in message
    assert desk.account.refresh_token not in message
    await desk.pool.execute("UPDATE youtube_accounts SET state = 'needs_reauth'")
    assert "authorised anew" in (await desk.told())[0][1]


async def test_used_up_project_is_a_warning_with_its_reset(desk: Desk) -> None:
    await add(desk)
    await desk.pool.execute(
        "UPDATE quota_usage SET used = quota_limit + 1 WHERE bucket = 'default'"
    )
    ((_, message),) = [told for told in await desk.told() if "project" in told[1]]
    assert "0 of 10,000 units of default left until" in message
    assert (Level.WARNING, message) in await desk.told()


@pytest.mark.parametrize(("ahead", "level"), [(0, None), (10, Level.WARNING), (-90, Level.ERROR)])
async def test_googles_clock_is_compared(desk: Desk, ahead: int, level: Level | None) -> None:
    desk.youtube.world.clock = lambda: datetime.now(UTC) + timedelta(seconds=ahead)
    await add(desk)
    found = [each for each, message in await desk.told() if "clock" in message]
    assert found == ([] if level is None else [level])


async def test_google_that_cannot_be_reached_is_an_error(desk: Desk) -> None:
    await add(desk)
    with YouTubeServer() as gone:
        root = gone.root
    desk.settings = desk.settings.model_copy(update={"google_api_root": root})
    assert any("cannot be reached" in message for _, message in await desk.told())


async def test_grants_near_their_end_and_tokens_nobody_renews_are_told(desk: Desk) -> None:
    await add(desk)
    await desk.pool.execute(
        "UPDATE youtube_accounts SET grant_expires_at = now() + interval '50 hours'"
    )
    assert (Level.WARNING, True) in [
        (level, "the grant of one@example.org ends in 2 d" in message)
        for level, message in await desk.told()
    ]
    await desk.pool.execute(
        "UPDATE youtube_accounts SET grant_expires_at = NULL,"
        " token_expires_at = now() - interval '3 days'"
    )
    assert any("was not renewed for 3 d" in message for _, message in await desk.told())


async def test_project_near_its_limit_and_channel_split_over_projects_are_told(
    desk: Desk,
) -> None:
    await add(desk)

    async def warned() -> list[str]:
        return [message for level, message in await desk.told() if level is Level.WARNING]

    assert await warned() == []
    await desk.pool.execute("UPDATE quota_usage SET used = 8000")
    assert any("has 2,000 of 10,000 units" in message for message in await warned())
    await desk.pool.execute(
        "WITH a AS (INSERT INTO youtube_accounts (email, channel_id, quota_project_id, credentials,"
        " state) VALUES ('two@example.org', 'UC_own', 'other', '{}', 'suspended') RETURNING id)"
        " INSERT INTO channel_accounts (channel_id, youtube_account_id)"
        " SELECT c.id, a.id FROM channels c, a"
    )
    assert any("has accounts of 2 Cloud projects" in message for message in await warned())
