"""What every video host keeps to: private first, published once, resumable, found by its marker."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.domain import Visibility
from pipeline.errors import Rejected
from pipeline.hosting import EndedSession, UploadDraft
from pipeline.providers.host_local import LocalHost
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_tokens import MemoryMeter, MemoryTokens
from tests.services.youtube_world import World

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PUBLIC, PRIVATE, UNLISTED = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.UNLISTED
SRT = """1
00:00:00,400 --> 00:00:01,250
Hello <b>you</b> & me

2
00:00:02,000 --> 00:00:03,000
Bye
"""


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Stand:
    """A host under test, seen through the account of one channel: each call a new process."""

    open: Callable[[str], LocalHost | YouTubeHost]
    clock: Clock
    folder: Path
    heard: list[float] = field(default_factory=list)

    def __call__(self, channel: str = "UC_own") -> LocalHost | YouTubeHost:
        return self.open(channel)

    def film(
        self, content: bytes = b"film" * 1000, marker: str = "yte-1"
    ) -> tuple[Path, UploadDraft]:
        file = self.folder / "cut.mp4"
        file.write_bytes(content)
        draft = UploadDraft(
            title="The Moon: 5 Facts",
            description=f"About it.\n\n{marker}",
            tags=("moon", marker),
            language="en",
            category_id="27",
            made_for_kids=False,
            synthetic_media=True,
            marker=marker,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        return file, draft

    async def upload(self, content: bytes = b"film" * 1000, marker: str = "yte-1") -> str:
        file, draft = self.film(content, marker)
        session = await self().open_upload(draft)
        video_id = await self().send(session, file, progress=self.heard.append)
        assert video_id is not None
        return video_id

    async def visibility(self, video_id: str) -> Visibility:
        return (await self().inspect(video_id)).visibility


@pytest.fixture(params=["local", "youtube"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    clock = Clock()
    if request.param == "local":
        root = tmp_path / "host"
        yield Stand(
            lambda channel: LocalHost(root, channel, f"Channel {channel}", clock), clock, tmp_path
        )
        return
    with YouTubeServer(World(clock=clock)) as youtube:
        youtube.world.playlists["PL_1"] = []
        tokens = {
            name: MemoryTokens(youtube.world.add_account(name), youtube.token_uri)
            for name in ("UC_own", "UC_other")
        }

        def open_host(channel: str) -> YouTubeHost:
            own = tokens[channel]
            options = YouTubeOptions(
                own.account_id, channel, root=youtube.root, look_up_waits=(),
                trouble_pause_seconds=0,
            )  # fmt: skip
            return YouTubeHost(
                own, options, meter=MemoryMeter(), clock=clock, chance=random.Random(1)
            )

        yield Stand(open_host, clock, tmp_path)


async def test_owner_is_the_channel_of_the_credential(host: Stand) -> None:
    assert await host("UC_own").owner() == "UC_own"
    assert await host("UC_other").owner() == "UC_other"


async def test_upload_is_private_until_published_and_then_visible(host: Stand) -> None:
    video_id = await host.upload()
    assert await host.visibility(video_id) is PRIVATE
    publication = await host().publish(video_id, PUBLIC, None)
    assert (publication.video_id, publication.channel_id) == (video_id, "UC_own")
    assert (publication.visibility, publication.published_at) == (PUBLIC, NOW)
    assert await host.visibility(video_id) is PUBLIC
    inspected = await host().inspect(video_id)
    assert inspected.processed
    assert inspected.problem is None


async def test_publishing_again_changes_nothing(host: Stand) -> None:
    video_id = await host.upload()
    first = await host().publish(video_id, PUBLIC, None)
    host.clock.now += timedelta(days=3)
    assert await host().publish(video_id, PUBLIC, None) == first


async def test_visibility_can_be_taken_back(host: Stand) -> None:
    video_id = await host.upload()
    await host().publish(video_id, UNLISTED, None)
    assert await host.visibility(video_id) is UNLISTED
    await host().publish(video_id, PRIVATE, None)
    assert await host.visibility(video_id) is PRIVATE


async def test_scheduled_video_stays_private_until_its_time(host: Stand) -> None:
    video_id = await host.upload()
    at = NOW + timedelta(hours=2)
    publication = await host().publish(video_id, PUBLIC, at)
    assert (publication.visibility, publication.published_at) == (PRIVATE, None)
    host.clock.now = at - timedelta(seconds=1)
    assert await host.visibility(video_id) is PRIVATE
    host.clock.now = at + timedelta(days=1)
    assert await host.visibility(video_id) is PUBLIC
    repeated = await host().publish(video_id, PUBLIC, at)
    assert (repeated.visibility, repeated.published_at) == (PUBLIC, at)


async def test_time_that_has_passed_publishes_at_once(host: Stand) -> None:
    video_id = await host.upload()
    publication = await host().publish(video_id, PUBLIC, NOW - timedelta(minutes=1))
    assert publication.visibility is PUBLIC


@pytest.mark.parametrize("size", [1, 4 << 20, (9 << 20) + 17])
async def test_sending_reports_progress_and_answers_the_same_id_again(
    host: Stand, size: int
) -> None:
    file, draft = host.film(os.urandom(size))
    session = await host().open_upload(draft)
    video_id = await host().send(session, file, progress=host.heard.append)
    assert host.heard == sorted(host.heard)
    assert host.heard[-1] == 1
    assert await host().send(session, file, progress=host.heard.append) == video_id


async def test_interrupted_sending_goes_on_where_it_stopped(host: Stand) -> None:
    file, draft = host.film(os.urandom(13 << 20))
    session = await host().open_upload(draft)

    class Stop(Exception):
        pass

    def stop(part: float) -> None:
        host.heard.append(part)
        raise Stop

    with pytest.raises(Stop):
        await host().send(session, file, progress=stop)
    assert await host().find("yte-1") is None
    later: list[float] = []
    assert await host().send(session, file, progress=later.append)
    assert later[0] > host.heard[0]


async def test_marker_finds_the_video_of_its_own_channel_only(host: Stand) -> None:
    await host.upload(marker="yte-2")
    video_id = await host.upload(marker="yte-1")
    assert await host().find("yte-1") == video_id
    assert await host("UC_other").find("yte-1") is None
    assert await host().find("yte-unknown") is None


async def test_forgotten_session_answers_none(host: Stand) -> None:
    file, draft = host.film()
    session = await host().open_upload(draft)
    host.clock.now += timedelta(days=8)
    await host().open_upload(draft)
    assert await host().send(session, file, progress=host.heard.append) is None


async def test_abandoned_session_takes_nothing_more(host: Stand) -> None:
    file, draft = host.film(os.urandom(13 << 20))
    session = await host().open_upload(draft)

    def stop(part: float) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await host().send(session, file, progress=stop)
    assert await host().abandon(session) == EndedSession(known=True)
    assert await host().abandon(session) == EndedSession(known=False)
    assert await host().send(session, file, progress=host.heard.append) is None
    assert await host().find("yte-1") is None


async def test_session_that_ended_as_a_video_answers_it_and_keeps_it(host: Stand) -> None:
    file, draft = host.film()
    session = await host().open_upload(draft)
    video_id = await host().send(session, file, progress=host.heard.append)
    for _ in range(2):
        assert await host().abandon(session) == EndedSession(True, video_id)
    assert await host().find("yte-1") == video_id


async def test_other_file_than_announced_is_rejected(host: Stand) -> None:
    file, draft = host.film(b"a" * 5000)
    session = await host().open_upload(replace(draft, size_bytes=4999))
    with pytest.raises(Rejected):
        await host().send(session, file, progress=host.heard.append)
    assert await host().find("yte-1") is None


async def test_thumbnail_and_captions_can_be_set_again(host: Stand) -> None:
    video_id = await host.upload()
    image, captions = host.folder / "t.jpg", host.folder / "c.srt"
    captions.write_text(SRT)
    published = []
    for picture in (b"\xff\xd8 one", b"\xff\xd8 two"):
        image.write_bytes(picture)
        await host().add_thumbnail(video_id, image)
        await host().add_captions(video_id, captions, "en")
        published.append(await host().publish(video_id, PUBLIC, None))
    assert published[0] == published[1]
    assert published[0].video_id == video_id


async def test_playlist_takes_a_video_once(host: Stand) -> None:
    video_id = await host.upload()
    for _ in range(2):
        await host().add_to_playlist(video_id, "PL_1")
    with pytest.raises(Rejected):
        await host().add_to_playlist("0123456789ab", "PL_1")


async def test_unknown_video_is_rejected_by_every_call(host: Stand) -> None:
    await host().owner()
    image = host.folder / "t.jpg"
    image.write_bytes(b"x")
    for video_id in ("0123456789ab", "", "../../etc", "x" * 300, "a\nb"):
        for call in (
            host().publish(video_id, PUBLIC, None),
            host().inspect(video_id),
            host().statistics(video_id),
            host().add_thumbnail(video_id, image),
        ):
            with pytest.raises(Rejected):
                await call


async def test_other_channels_video_cannot_be_touched(host: Stand) -> None:
    video_id = await host.upload()
    with pytest.raises(Rejected):
        await host("UC_other").publish(video_id, PUBLIC, None)
    assert await host.visibility(video_id) is PRIVATE


async def test_statistics_start_at_zero(host: Stand) -> None:
    video_id = await host.upload()
    found = await host().statistics(video_id)
    assert (found.video_id, found.at) == (video_id, NOW)
    assert (found.views, found.likes, found.comments) == (0, 0, 0)
