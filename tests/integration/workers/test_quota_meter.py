"""Every request that reaches YouTube is counted once, on its project; its journal tells."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from db.errors import DatabaseError
from db.pool import Pool
from pipeline.domain import Visibility
from pipeline.errors import StageError
from pipeline.hosting import UploadDraft
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from pipeline.providers.youtube_calls import method_of
from pipeline.providers.youtube_reports import pull_days
from pipeline.providers.youtube_tokens import Credential
from tests.services.account_network import Network
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_tokens import MemoryTokens
from tests.services.youtube_world import Account, Fault
from workers.accounts.adding import NewAccount, add_account
from workers.accounts.quota_meter import ProjectMeter
from workers.secrets import SecretKeys
from workers.settings import Settings

KEYS = SecretKeys({"k": bytes(32)})
UNITS = {
    "videos.insert": ("videos.insert", 1),
    "videos.update": ("default", 50),
    "thumbnails.set": ("default", 50),
    "captions.insert": ("default", 400),
    "playlistItems.insert": ("default", 50),
    "reports.query": ("analytics", 1),
}
FREE = {"token", "upload.put", "upload.query"}


@pytest.fixture
def youtube() -> Iterator[YouTubeServer]:
    with YouTubeServer() as server:
        yield server


def settings_for(youtube: YouTubeServer) -> Settings:
    return Settings.from_env(
        {
            "YTEMPIRE_HOST_PROVIDER": "youtube",
            "YTEMPIRE_GOOGLE_API_ROOT": youtube.root,
            "YTEMPIRE_GOOGLE_TOKEN_URI": youtube.token_uri,
        }
    )


def host(pool: Pool, youtube: YouTubeServer, account: Account) -> YouTubeHost:
    tokens = MemoryTokens(account, youtube.token_uri)
    return YouTubeHost(
        tokens,
        YouTubeOptions(tokens.account_id, account.channel_id, youtube.root, look_up_waits=()),
        meter=ProjectMeter(pool, "p"),
        clock=lambda: datetime.now(UTC),
        chance=random.Random(1),
    )


def journal_units(youtube: YouTubeServer) -> Counter[str]:
    """What YouTube would charge for all it was asked."""
    charged: Counter[str] = Counter()
    for entry in youtube.world.journal:
        if entry["operation"] not in FREE:
            bucket, units = UNITS.get(entry["operation"], ("default", 1))
            charged[bucket] += units
    return charged


async def counted(pool: Pool) -> Counter[str]:
    rows = await pool.fetch("SELECT bucket, used FROM quota_usage WHERE used > 0")
    return Counter({row["bucket"]: row["used"] for row in rows})


async def test_every_method_of_an_uploads_life_is_counted(
    pool: Pool, youtube: YouTubeServer, tmp_path: Path
) -> None:
    account = youtube.world.add_account("UC_own")
    youtube.world.playlists["PL_1"] = []
    youtube.world.faults.append(Fault("channels.list", status=401, reason="authError"))
    youtube.world.faults.append(Fault("thumbnails.set", status=403, reason="forbidden"))
    own = host(pool, youtube, account)
    assert await own.owner() == "UC_own"  # twice: the first answer was a 401
    film, image, text = tmp_path / "f.mp4", tmp_path / "t.jpg", tmp_path / "c.srt"
    film.write_bytes(b"film" * 1000)
    image.write_bytes(b"\xff\xd8picture")
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nIce\n")
    draft = UploadDraft(
        "Ice", "About ice.\nyte-1", ("yte-1",), "en", "27", False, True, "yte-1", 4000, "a" * 64
    )
    session = await own.open_upload(draft)
    video = await own.send(session, film, progress=lambda part: None)
    assert video is not None
    assert await own.find("yte-1") == video
    await own.publish(video, Visibility.PUBLIC, None)
    with pytest.raises(StageError):
        await own.add_thumbnail(video, image)
    await own.add_thumbnail(video, image)
    await own.add_captions(video, text, "en")
    await own.add_captions(video, text, "en")  # refused: it is there; counted all the same
    await own.add_to_playlist(video, "PL_1")
    await own.inspect(video)
    await own.statistics(video)
    await pull_days(own.calls, video, date(2026, 6, 1), date(2026, 6, 2), revenue=True)
    assert len(youtube.asked("upload.put")) > 0
    assert len(youtube.asked("reports.query")) == 2  # with revenue it was refused
    assert await counted(pool) == journal_units(youtube)


async def test_adding_an_account_counts_on_its_project(pool: Pool, youtube: YouTubeServer) -> None:
    account = youtube.world.add_account("UC_own")
    credential = Credential(
        account.client_id, account.client_secret, account.refresh_token, account.scopes
    )
    new = NewAccount("one@example.org", credential, None, "p", False, 5, 10_000)
    await add_account(settings_for(youtube), pool, KEYS, new)
    assert await Network(pool).used("p", "default") == 1
    assert await counted(pool) == journal_units(youtube)


async def test_what_cannot_be_counted_is_not_sent(pool: Pool, youtube: YouTubeServer) -> None:
    own = host(pool, youtube, youtube.world.add_account("UC_own"))
    await pool.execute("ALTER TABLE quota_usage RENAME TO quota_gone")
    with pytest.raises(DatabaseError):
        await own.owner()
    assert youtube.asked("channels.list") == []


@pytest.mark.parametrize(
    ("verb", "uri", "method"),
    [
        (
            "GET",
            "https://youtube.googleapis.com/youtube/v3/videos?chart=mostPopular",
            "videos.list",
        ),
        ("GET", "https://youtube.googleapis.com/youtube/v3/search?q=a", "search.list"),
        (
            "POST",
            "http://127.0.0.1:1/upload/youtube/v3/videos?uploadType=resumable",
            "videos.insert",
        ),
        ("POST", "http://127.0.0.1:1/resumable/upload/youtube/v3/videos", "videos.insert"),
        ("PUT", "http://127.0.0.1:1/youtube/v3/videos?part=status", "videos.update"),
        ("PUT", "http://127.0.0.1:1/upload/youtube/v3/videos?upload_id=x", None),
        (
            "GET",
            "https://youtubeanalytics.googleapis.com/v2/reports?ids=x",
            "youtubeAnalytics.reports.query",
        ),
        ("GET", "https://youtube.googleapis.com/youtube/v9/dreams", "unknown"),
    ],
)
def test_requests_are_named_as_google_names_them(verb: str, uri: str, method: str | None) -> None:
    assert method_of(verb, uri) == method
