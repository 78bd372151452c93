"""YouTube's chart becomes trends through a stored account, and is not kept for ever."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.pool import Pool, transaction
from pipeline.providers.youtube_tokens import Credential
from tests.integration.workers.runs import begin, value
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Fault, charted
from workers.accounts.adding import NewAccount, add_account
from workers.analytics import keep_api_data_fresh
from workers.channels import NewChannel, add_youtube_channel
from workers.doctor.finding import Examined, Level
from workers.doctor.sources import feeds
from workers.doctor.youtube import accounts
from workers.ingest import Ingested, due_feeds, ingest
from workers.secrets import secret_keys
from workers.settings import Settings


class Desk:
    youtube: YouTubeServer
    settings: Settings
    pool: Pool

    async def add_account(self) -> None:
        account = self.youtube.world.add_account("UC_own")
        credential = Credential(
            account.client_id, account.client_secret, account.refresh_token, account.scopes
        )
        new = NewAccount("one@example.org", credential, "tests", None, False, 5, 10_000)
        await add_account(self.settings, self.pool, secret_keys(self.settings), new)

    async def ingest(self) -> Ingested:
        (result,) = await ingest(self.pool, self.settings, ["youtube"])
        return result


@pytest.fixture
async def desk(pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    with YouTubeServer() as youtube:
        desk = Desk()
        desk.youtube, desk.pool = youtube, pool
        youtube.world.charts["US"] = [charted("v1", "The Song", viewCount=5_000_000)]
        desk.settings = Settings.from_env(
            {
                "YTEMPIRE_DATA_DIR": str(tmp_path),
                "DATABASE_URL": "postgresql://given-by-the-pool",
                "YTEMPIRE_TREND_SOURCES": "youtube",
                "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
                "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
                "YTEMPIRE_SECRET_KEYS": "k:" + base64.b64encode(bytes(32)).decode(),
            }
        )
        async with transaction(pool) as connection:
            await add_youtube_channel(connection, NewChannel("tests", youtube_channel_id="UC_own"))
        yield desk


async def test_chart_is_stored_as_trends_with_facts(desk: Desk) -> None:
    await desk.add_account()
    assert await desk.ingest() == Ingested("youtube", found=1, added=1, qualified=1)
    row = await desk.pool.fetchrow("SELECT * FROM trends")
    assert row is not None
    assert (row["topic"], row["category"], row["status"]) == ("The Song", "music", "qualified")
    assert row["search_volume"] == 5_000_000
    assert "5,000,000 times" in row["source_metadata"]["facts"][2]


async def test_without_an_account_that_can_serve_it_is_said_what_to_do(desk: Desk) -> None:
    assert "ytempire account authorize" in str((await desk.ingest()).error)
    await desk.add_account()
    await desk.pool.execute("UPDATE youtube_accounts SET state = 'needs_reauth'")
    assert "ytempire account list" in str((await desk.ingest()).error)
    assert desk.youtube.asked("videos.list") == []


async def test_used_up_quota_benches_the_account_that_asked(desk: Desk) -> None:
    await desk.add_account()
    desk.youtube.world.faults = [Fault("videos.list", status=403, reason="quotaExceeded")]
    assert "quotaExceeded" in str((await desk.ingest()).error)
    assert await value(desk.pool, "SELECT state FROM youtube_accounts") == "cooling"


def test_chart_is_read_once_an_hour() -> None:
    turns = [bool(due_feeds(["youtube"], 1_800_000_000 + n * 900)) for n in range(8)]
    assert sum(turns) == 2


@pytest.mark.parametrize(("days", "kept"), [(28, True), (29, False)])
async def test_what_youtube_told_is_gone_within_thirty_days(
    desk: Desk, days: int, kept: bool
) -> None:
    desk.youtube.world.charts["US"].append(charted("v2", "The Film", viewCount=7))
    await desk.add_account()
    await desk.ingest()
    run = await begin(desk.pool)
    await desk.pool.execute(
        "UPDATE videos SET trend_id = (SELECT id FROM trends WHERE topic = 'The Film') "
        "WHERE id = $1",
        run.video_id,
    )
    # Read so many days ago; what runs hourly has marked it since.
    await desk.pool.execute(
        "UPDATE trends SET expiry_time = expiry_time - make_interval(days => $1), "
        "status = CASE topic WHEN 'The Film' THEN 'used' ELSE 'expired' END",
        days,
    )
    await keep_api_data_fresh(desk.pool)
    rows = await desk.pool.fetch("SELECT topic, source_metadata, search_volume FROM trends")
    told = {row["topic"]: (bool(row["source_metadata"]), row["search_volume"]) for row in rows}
    if kept:
        assert told == {"The Song": (True, 5_000_000), "The Film": (True, 7)}
    else:
        assert told == {"The Film": (False, None)}


async def test_other_feeds_are_no_api_data(desk: Desk) -> None:
    await desk.add_account()
    await desk.ingest()
    await desk.pool.execute(
        "UPDATE trends SET source = 'reddit', expiry_time = now() - interval '90 days'"
    )
    await keep_api_data_fresh(desk.pool)
    assert await value(desk.pool, "SELECT count(*) FROM trends") == 1


async def test_doctor_reads_the_chart_and_looks_at_the_accounts(desk: Desk) -> None:
    examined = Examined(desk.settings, "", desk.pool)
    assert [finding.level for finding in await feeds(examined)] == [Level.ERROR]
    assert [finding.level for finding in await accounts(examined)] == [Level.ERROR]
    await desk.add_account()
    (finding,) = await feeds(examined)
    assert (finding.level, finding.message) == (Level.OK, "1 topics are on offer")
    assert {finding.level for finding in await accounts(examined)} == {Level.OK}
