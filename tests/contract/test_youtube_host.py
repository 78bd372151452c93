"""What is YouTube's own: sessions that outlive processes, and an answer that is lost on the way."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from googleapiclient.discovery_cache import get_static_doc

from pipeline.domain import Visibility
from pipeline.errors import Rejected, Transient
from pipeline.hosting import AccountEffect
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from pipeline.providers.youtube_errors import VERDICTS
from pipeline.providers.youtube_upload import CHUNK_QUANTUM, insert_body
from tests.contract.test_video_host import SRT, Clock, Stand
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_tokens import MemoryMeter, MemoryTokens
from tests.services.youtube_world import Fault, Refused, World

FILM = bytes(range(256)) * 1024 * 5 + b"end"  # five quanta and a little
SENDER = """
import asyncio, json, random, sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from tests.services.youtube_tokens import MemoryMeter, MemoryTokens
from tests.services.youtube_world import Account

told = json.loads(sys.argv[1])
tokens = MemoryTokens(Account(**told["account"]), told["token_uri"])
options = YouTubeOptions(tokens.account_id, "UC_own", told["root"], chunk_bytes=told["chunk"])
host = YouTubeHost(
    tokens, options, meter=MemoryMeter(), clock=lambda: datetime.now(UTC), chance=random.Random(1)
)
asyncio.run(host.send(told["session"], Path(told["film"]), progress=lambda part: None))
"""


class Desk(Stand):
    """The stand of the contract, with the server at hand."""

    youtube: YouTubeServer
    tokens: MemoryTokens

    @property
    def world(self) -> World:
        return self.youtube.world

    @property
    def puts(self) -> list[str]:
        return [entry["range"] for entry in self.youtube.asked("upload.put")]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = Clock()
    with YouTubeServer(World(clock=clock)) as youtube:
        account = youtube.world.add_account("UC_own")
        tokens = MemoryTokens(account, youtube.token_uri)
        options = YouTubeOptions(
            tokens.account_id,
            "UC_own",
            youtube.root,
            chunk_bytes=CHUNK_QUANTUM,
            look_up_waits=(0.001, 0.001),
            trouble_pause_seconds=0,
        )

        def host(_: str) -> YouTubeHost:
            return YouTubeHost(
                tokens, options, meter=MemoryMeter(), clock=clock, chance=random.Random(1)
            )

        desk = Desk(host, clock, tmp_path)
        desk.youtube, desk.tokens = youtube, tokens
        yield desk


async def test_new_video_is_announced_with_everything_that_must_be_told(desk: Desk) -> None:
    _, draft = desk.film(FILM)
    await desk().open_upload(draft)
    (session,) = desk.world.sessions.values()
    assert session.resource == insert_body(draft)
    assert session.resource["status"] == {
        "privacyStatus": "private",
        "selfDeclaredMadeForKids": False,
        "containsSyntheticMedia": True,
    }
    assert session.size == len(FILM)
    assert [entry["bytes"] for entry in desk.youtube.asked("upload.put")] == []


async def test_privacy_left_out_would_be_public(desk: Desk) -> None:
    """The server forgives as YouTube does; only the adapter's own words keep a video private."""
    _, draft = desk.film(FILM)
    resource = insert_body(draft)
    account = next(iter(desk.world.accounts.values()))
    for status, seen in (({}, "public"), (resource["status"], "private")):
        session = desk.world.open_session(account, {**resource, "status": status}, 1)
        desk.world.append(session, 0, b"x", None)
        assert session.video_id is not None
        assert desk.world.videos[session.video_id]["status"]["privacyStatus"] == seen


async def test_chunks_are_multiples_of_the_quantum(desk: Desk) -> None:
    video_id = await desk.upload(FILM)
    assert desk.world.files[video_id] == FILM
    sizes = [entry["bytes"] for entry in desk.youtube.asked("upload.put")]
    assert sizes == [CHUNK_QUANTUM] * 5 + [3]


@pytest.mark.parametrize("size", [CHUNK_QUANTUM, 2 * CHUNK_QUANTUM, CHUNK_QUANTUM - 1, 1])
async def test_sizes_around_a_chunk_arrive_whole(desk: Desk, size: int) -> None:
    video_id = await desk.upload(FILM[:size])
    assert desk.world.files[video_id] == FILM[:size]


@pytest.mark.parametrize("kind", ["refuse", "lose", "cut", "cut_after"])
@pytest.mark.parametrize("skip", [0, 2, 5])
async def test_trouble_in_any_chunk_is_asked_about_and_gone_on_from(
    desk: Desk, kind: str, skip: int
) -> None:
    desk.world.faults.append(Fault("upload.put", kind=kind, skip=skip))
    video_id = await desk.upload(FILM)
    assert desk.world.files[video_id] == FILM
    assert len(desk.world.videos) == 1


@pytest.mark.parametrize("keep", [0, 1, 100_000])
async def test_part_of_a_chunk_that_is_kept_is_gone_on_from(desk: Desk, keep: int) -> None:
    desk.world.faults.append(Fault("upload.put", kind="partial", keep=keep, skip=1))
    video_id = await desk.upload(FILM)
    assert desk.world.files[video_id] == FILM


async def test_server_that_keeps_nothing_is_not_asked_for_ever(desk: Desk) -> None:
    desk.world.faults.append(Fault("upload.put", kind="partial", keep=0, times=1000))
    with pytest.raises(Transient, match="gets no further"):
        await desk.upload(FILM)
    assert len(desk.puts) < 20


async def test_unreadable_end_of_an_upload_is_asked_about(desk: Desk) -> None:
    desk.world.faults.append(Fault("upload.put", kind="garbage", skip=5))
    with pytest.raises(Transient):
        await desk.upload(FILM)
    file, _ = desk.film(FILM)
    (session,) = desk.world.sessions.values()
    uri = f"{desk.youtube.root}/upload/youtube/v3/videos?upload_id={session.id}"
    assert await desk().send(uri, file, progress=desk.heard.append) == session.video_id
    assert len(desk.world.videos) == 1


async def test_token_that_ends_in_the_middle_is_renewed(desk: Desk) -> None:
    desk.world.hooks["upload.put"] = lambda _: desk.world.tokens.clear()
    video_id = await desk.upload(FILM)
    assert desk.world.files[video_id] == FILM
    assert desk.tokens.refreshed == 2


async def test_expired_session_answers_none(desk: Desk) -> None:
    file, draft = desk.film(FILM)
    session = await desk().open_upload(draft)
    desk.clock.now += timedelta(days=8)
    assert await desk().send(session, file, progress=desk.heard.append) is None
    assert await desk().find("yte-1") is None


async def test_killed_process_is_followed_by_another_from_where_youtube_is(desk: Desk) -> None:
    file, draft = desk.film(FILM)
    session = await desk().open_upload(draft)
    account = next(iter(desk.world.accounts.values()))
    told = {
        "account": asdict(account),
        "token_uri": desk.youtube.token_uri,
        "root": desk.youtube.root,
        "chunk": CHUNK_QUANTUM,
        "session": session,
        "film": str(file),
    }
    for killed in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", SENDER, json.dumps(told)], cwd=Path(__file__).parents[2]
        ) as sender:

            def kill(_: dict[str, Any], pid: int = sender.pid) -> None:
                os.kill(pid, signal.SIGKILL)

            desk.world.hooks["upload.put"] = kill
            assert await asyncio.to_thread(sender.wait, 60) == -signal.SIGKILL
        (kept,) = desk.world.sessions.values()
        assert len(kept.data) == CHUNK_QUANTUM * (killed + 1)
    video_id = await desk().send(session, file, progress=desk.heard.append)
    assert desk.world.files[str(video_id)] == FILM
    firsts = [range_.split("-")[0] for range_ in desk.puts]
    assert len(firsts) == len(set(firsts)), "no byte was sent twice"


async def test_marker_is_found_by_tag_and_after_a_delay(desk: Desk) -> None:
    video_id = await desk.upload(FILM)
    desk.world.videos[video_id]["snippet"]["description"] = "edited by hand"
    desk.world.unlisted_reads = 2
    assert await desk().find("yte-1") == video_id
    assert await desk().find("yte-") is None


async def test_publishing_changes_one_video_once(desk: Desk) -> None:
    other, video_id = await desk.upload(FILM, "yte-2"), await desk.upload(FILM)
    for _ in range(3):
        await desk().publish(video_id, Visibility.PUBLIC, None)
    assert len(desk.youtube.asked("videos.update")) == 1
    assert desk.world.videos[other]["status"]["privacyStatus"] == "private"
    status = desk.world.videos[video_id]["status"]
    assert (status["selfDeclaredMadeForKids"], status["containsSyntheticMedia"]) == (False, True)


async def test_publication_whose_answer_was_lost_is_not_repeated(desk: Desk) -> None:
    video_id = await desk.upload(FILM)
    desk.world.faults.append(Fault("videos.update", kind="lose"))
    with pytest.raises(Transient):
        await desk().publish(video_id, Visibility.PUBLIC, None)
    assert (await desk().publish(video_id, Visibility.PUBLIC, None)).video_id == video_id
    assert len(desk.youtube.asked("videos.update")) == 1


async def test_video_on_another_channel_is_not_published(desk: Desk) -> None:
    video_id = await desk.upload(FILM)
    desk.world.videos[video_id]["snippet"]["channelId"] = "UC_stranger"
    desk.world.videos[video_id]["status"]["privacyStatus"] = "unlisted"
    with pytest.raises(Rejected, match="UC_stranger"):
        await desk().publish(video_id, Visibility.PUBLIC, None)
    assert desk.youtube.asked("videos.update") == []


def _verdicts() -> list[tuple[str, str, str]]:
    """Every reason that the description of the API knows."""
    schema = json.loads(get_static_doc("youtube", "v3"))["schemas"]["VideoStatus"]["properties"]
    return [
        (state, name, reason)
        for state, name in (("rejected", "rejectionReason"), ("failed", "failureReason"))
        for reason in schema[name]["enum"]
    ]


@pytest.mark.parametrize(("state", "name", "reason"), _verdicts())
async def test_refused_video_tells_youtubes_reason_and_what_it_means_for_the_account(
    desk: Desk, state: str, name: str, reason: str
) -> None:
    video_id = await desk.upload(FILM)
    desk.world.videos[video_id]["status"] |= {"uploadStatus": state, name: reason}
    hosted = await desk().inspect(video_id)
    assert hosted.problem == f"{state}: {reason}"
    assert reason in VERDICTS
    suspended = reason.startswith("uploaderAccount")
    assert (hosted.trouble is not None) is suspended
    if hosted.trouble is not None:
        assert hosted.trouble.effect is AccountEffect.SUSPEND


@pytest.mark.parametrize(("status", "reason"), [("failed", "transcodeFailed"), ("terminated", "")])
async def test_failed_processing_is_a_problem(desk: Desk, status: str, reason: str) -> None:
    video_id = await desk.upload(FILM)
    told = {"processingStatus": status} | ({"processingFailureReason": reason} if reason else {})
    desk.world.videos[video_id]["processingDetails"] = told
    hosted = await desk().inspect(video_id)
    assert not hosted.processed
    assert hosted.problem == f"processing failed: {reason or status}"


async def test_processing_takes_its_time(desk: Desk) -> None:
    desk.world.unprocessed_reads = 2
    video_id = await desk.upload(FILM)
    assert [(await desk().inspect(video_id)).processed for _ in range(3)] == [False, False, True]
    desk.world.videos[video_id]["processingDetails"] = {"processingStatus": "processing"}
    assert not (await desk().inspect(video_id)).processed


async def test_captions_and_playlist_that_are_there_are_success(desk: Desk) -> None:
    video_id = await desk.upload(FILM)
    captions = desk.folder / "c.srt"
    captions.write_text(SRT)
    desk.world.playlists["PL_1"] = []
    host = desk()
    assert isinstance(host, YouTubeHost)
    for _ in range(2):
        await host.add_captions(video_id, captions, "en")
        await host.add_to_playlist(video_id, "PL_1")
    assert desk.world.playlists["PL_1"] == [video_id]
    assert desk.world.captions[video_id]["en"] == SRT.encode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": "x" * 101}, "invalidTitle"),
        ({"title": "a <b>"}, "invalidTitle"),
        ({"description": "ä" * 2501}, "invalidDescription"),
        ({"tags": ("a b",) * 84}, "invalidTags"),
        ({"category_id": ""}, "invalidCategoryId"),
    ],
)
async def test_server_refuses_metadata_over_the_limits(
    desk: Desk, change: dict[str, Any], reason: str
) -> None:
    _, draft = desk.film(FILM)
    with pytest.raises(Rejected, match=reason):
        await desk().open_upload(replace(draft, **change))
    assert desk.world.sessions == {}


def test_server_refuses_chunks_of_a_wrong_size_or_place() -> None:
    world = World(clock=lambda: datetime.now(UTC))
    account = world.add_account("UC_own")
    resource = {"snippet": {"title": "x", "categoryId": "27"}}
    session = world.open_session(account, resource, CHUNK_QUANTUM * 3)
    for first, size in ((0, CHUNK_QUANTUM + 1), (1, CHUNK_QUANTUM)):
        with pytest.raises(Refused):
            world.append(session, first, bytes(size), None)
