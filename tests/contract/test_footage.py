"""What every provider of footage keeps to; and what none of them falls for."""

import json
import shutil
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from pipeline.errors import Deferred, Rejected, StageError, Transient, Waiting
from pipeline.footage import FootageWish
from pipeline.ports import Footage
from pipeline.providers.durable import digest
from pipeline.providers.fetching import new_client
from pipeline.providers.footage_cache import FootageCache
from pipeline.providers.footage_local import GeneratedBackgrounds, MediaFolder
from pipeline.providers.footage_pexels import Pexels
from pipeline.providers.footage_pixabay import Pixabay
from pipeline.providers.footage_stock import StockFootage
from pipeline.render.media_probe import probe_media
from tests.services.local_http import Reply, Request, as_json
from tests.services.stock_server import (
    PEXELS_KEY,
    PIXABAY_KEY,
    StockServer,
    draw_clip,
    draw_still,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WISH = FootageWish(("deep sea octopus", "octopus"), 640, 360, 1.5)
STOCK = ("pexels", "pixabay")
CLIPS = {"pexels": "/v1/videos/search", "pixabay": "/api/videos/"}
PHOTOS = {"pexels": "/v1/search", "pixabay": "/api/"}
KEYS = {"pexels": "PEXELS_API_KEY", "pixabay": "PIXABAY_API_KEY"}
probe = partial(probe_media, Path(get_ffmpeg_exe()))
Make = Callable[[str], Footage]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_clip(folder / "clip.mp4")
    draw_still(folder / "still.jpg")
    draw_still(folder / "still.png")
    return folder


@pytest.fixture
def server(drawn: Path) -> Iterator[StockServer]:
    clip, still = drawn / "clip.mp4", drawn / "still.jpg"
    with StockServer(clip.read_bytes(), still.read_bytes()) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with new_client() as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache_folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def media(tmp_path: Path, drawn: Path) -> Path:
    folder = tmp_path / "media" / "Sea"
    folder.mkdir(parents=True)
    shutil.copy(drawn / "clip.mp4", folder / "octopus-1.mp4")
    shutil.copy(drawn / "still.png", folder / "octopus 2.png")
    shutil.copy(drawn / "clip.mp4", folder / "whale.mp4")
    return folder.parent


@pytest.fixture
def make(
    server: StockServer, client: httpx.AsyncClient, clock: Clock, cache_folder: Path, media: Path
) -> Make:
    """A provider as a process that has just started has it."""

    def footage(name: str, key: str | None = None) -> Footage:
        if name == "folder":
            return MediaFolder(media, probe=probe, clock=clock)
        if name == "local":
            return GeneratedBackgrounds()
        library = (
            Pexels(key or PEXELS_KEY, server.root)
            if name == "pexels"
            else Pixabay(key or PIXABAY_KEY, f"{server.root}/")
        )
        cache = FootageCache(cache_folder, probe=probe, clock=clock)
        return StockFootage(library, client, cache, clock=clock)

    return footage


@pytest.mark.parametrize("name", [*STOCK, "folder"])
async def test_found_footage_is_here_sound_and_of_known_origin(make: Make, name: str) -> None:
    found = await make(name).find(WISH, used=())
    assert found is not None
    scene, credit = found.scene, found.credit
    assert scene.is_video
    assert scene.duration == pytest.approx(2.0)
    assert (scene.width, scene.height) == (640, 360)
    assert scene.sha256 == digest(scene.path)
    assert (credit.provider, credit.fetched_at) == (name, NOW)
    assert credit.key == f"{name}:{credit.asset_id}"
    if name in STOCK:
        assert credit.asset_id == "video-7"
        assert credit.author == "Jo Reef"
        assert str(credit.page_url).startswith(f"https://{'www.' * (name == 'pexels')}{name}.com/")
        assert name in str(credit.licence).lower()


@pytest.mark.parametrize("name", [*STOCK, "folder"])
async def test_what_was_used_is_not_found_again_and_stills_come_after_clips(
    make: Make, name: str
) -> None:
    footage = make(name)
    used: list[str] = []
    kinds = []
    while (found := await footage.find(WISH, used=used)) is not None:
        used.append(found.credit.key)
        kinds.append(found.scene.is_video)
    assert len(set(used)) == len(used)
    assert kinds == ([True, False, True] if name == "folder" else [True] * 3 + [False] * 2)


@pytest.mark.parametrize("name", [*STOCK, "folder", "local"])
async def test_nothing_is_found_where_there_is_nothing(make: Make, name: str) -> None:
    assert await make(name).find(replace(WISH, queries=("volcano",)), used=()) is None
    assert await make(name).find(replace(WISH, queries=()), used=()) is None


@pytest.mark.parametrize("name", [*STOCK, "folder"])
async def test_clip_that_is_too_short_gives_way_to_a_still(
    make: Make, server: StockServer, name: str
) -> None:
    server.clip_seconds = 5
    found = await make(name).find(replace(WISH, min_seconds=5.5), used=())
    assert found is not None
    assert not found.scene.is_video
    assert found.scene.duration == 0


@pytest.mark.parametrize("name", STOCK)
async def test_restarted_process_asks_and_downloads_nothing_again_for_a_day(
    make: Make, server: StockServer, clock: Clock, name: str
) -> None:
    first = await make(name).find(WISH, used=())
    asked = len(server.journal)
    clock.now += timedelta(hours=23, minutes=59)
    assert await make(name).find(WISH, used=()) == first
    assert len(server.journal) == asked
    clock.now += timedelta(minutes=2)
    assert await make(name).find(WISH, used=()) == first
    assert len(server.searches()) == 2
    assert len(server.downloads()) == 1


@pytest.mark.parametrize("name", STOCK)
async def test_file_that_was_changed_on_disk_is_fetched_again(
    make: Make, server: StockServer, name: str
) -> None:
    first = await make(name).find(WISH, used=())
    assert first is not None
    first.scene.path.write_bytes(b"damaged")
    assert await make(name).find(WISH, used=()) == first
    assert digest(first.scene.path) == first.scene.sha256


@pytest.mark.parametrize("name", STOCK)
async def test_smallest_file_that_fills_the_frame_is_fetched(
    make: Make, server: StockServer, name: str
) -> None:
    await make(name).find(replace(WISH, width=1280, height=720), used=())
    await make(name).find(replace(WISH, width=320, height=180), used=())
    assert [path.split("/")[2] for path in server.downloads()] == ["7-1080", "7-180"]


async def test_pexels_is_asked_as_it_wants(make: Make, server: StockServer) -> None:
    await make("pexels").find(replace(WISH, width=360, height=640, language="pt-BR"), used=())
    (asked,) = server.searches()
    assert asked.headers["authorization"] == PEXELS_KEY
    assert asked.query == {
        "query": "deep sea octopus",
        "orientation": "portrait",
        "per_page": "40",
        "locale": "pt-BR",
    }


async def test_pixabay_is_asked_as_it_wants(make: Make, server: StockServer) -> None:
    long = " ".join(["octopus", *["wonder"] * 30])
    await make("pixabay").find(replace(WISH, queries=(long,), language="de"), used=())
    (asked,) = server.searches()
    assert len(asked.query["q"]) <= 100
    assert asked.query["safesearch"] == "true"
    assert asked.query["lang"] == "de"


@pytest.mark.parametrize("name", STOCK)
async def test_wrong_key_waits_for_a_person_who_is_told_which(
    make: Any, server: StockServer, name: str
) -> None:
    with pytest.raises(Waiting, match=KEYS[name]) as caught:
        await make(name, "wrong-hush-hush").find(WISH, used=())
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "90"}, 90),
        ({"X_RateLimit_Reset": "40"}, 40),
        ({"X_RateLimit_Reset": str(int(NOW.timestamp()) + 1800)}, 1800),
        ({}, None),
    ],
)
async def test_library_that_asks_for_rest_gets_it(
    make: Make,
    server: StockServer,
    clock: Clock,
    name: str,
    headers: dict[str, str],
    seconds: int | None,
) -> None:
    server.faults[CLIPS[name]] = Reply(429, b"", "text/plain", headers)
    footage = make(name)
    with pytest.raises(Deferred) as caught:
        await footage.find(WISH, used=())
    rest = caught.value.until - NOW
    assert rest == timedelta(seconds=seconds) if seconds else rest > timedelta(0)
    server.faults.clear()
    with pytest.raises(Deferred):
        await footage.find(WISH, used=())
    assert len(server.journal) == 1  # it was not even asked
    clock.now = caught.value.until
    assert await footage.find(WISH, used=()) is not None


@pytest.mark.parametrize("name", STOCK)
async def test_library_whose_allowance_is_used_up_is_left_alone(
    make: Make, server: StockServer, name: str
) -> None:
    server.limits = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "55"}
    footage = make(name)
    assert await footage.find(WISH, used=()) is not None  # the last one was still answered
    with pytest.raises(Deferred) as caught:
        await footage.find(replace(WISH, queries=("reef",)), used=())
    assert caught.value.until == NOW + timedelta(seconds=55)
    assert await footage.find(WISH, used=()) is not None  # what is known costs nothing


GARBAGE = {
    "server error": Reply(503),
    "web page": Reply(200, b"<!doctype html>", "text/html"),
    "half": Reply(200, b'{"videos": ['),
    "another shape": as_json({"hello": "world"}),
    "a list": as_json([1]),
    "strange items": as_json({"videos": [7], "photos": [7], "hits": [7]}),
    "no list": as_json({"videos": 7, "photos": 7, "hits": 7}),
    "cut off": Reply(200, b"{", length=99),
}


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_transient_and_not_kept(
    make: Make, server: StockServer, name: str, garbage: str
) -> None:
    server.faults[CLIPS[name]] = GARBAGE[garbage]
    with pytest.raises(Transient) as caught:
        await make(name).find(WISH, used=())
    assert "hush" not in str(caught.value)
    server.faults.clear()
    assert await make(name).find(WISH, used=()) is not None


@pytest.mark.parametrize("name", STOCK)
async def test_moved_or_huge_answer_is_rejected_and_shows_no_key(
    make: Make, server: StockServer, name: str
) -> None:
    for reply in (
        Reply(302, b"", "text/plain", {"Location": "http://169.254.169.254/"}),
        Reply(200, b"[" * 6_000_000),
    ):
        server.faults[CLIPS[name]] = reply
        with pytest.raises(Rejected) as caught:
            await make(name).find(WISH, used=())
        assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int) -> bytes:
    """A PNG that says how large it is and is not."""
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    content = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + size + content + chunk(b"IEND", b"")


BAD_CLIPS: dict[str, tuple[bytes, str]] = {
    "web page by its type": (b"<html>", "text/html"),
    "web page named a clip": (b"<!doctype html><p>Sorry", "video/mp4"),
    "nothing": (b"", "video/mp4"),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "video/mp4"),
    "list of files": (b"ffconcat version 1.0\nfile /etc/passwd\n", "video/mp4"),
    "noise that begins well": (b"\0\0\0\x18ftypisom" + bytes(5_000), "video/mp4"),
}


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("bad", BAD_CLIPS)
async def test_unsound_clip_is_passed_over_and_not_fetched_again(
    make: Make, server: StockServer, name: str, bad: str
) -> None:
    server.files["clip.mp4"] = BAD_CLIPS[bad]
    found = await make(name).find(WISH, used=())
    assert found is not None
    assert not found.scene.is_video  # all three clips are bad: a still is shown
    downloads = len(server.downloads())
    assert await make(name).find(WISH, used=()) == found
    assert len(server.downloads()) == downloads


async def test_clip_that_ends_too_early_or_at_once_is_unsound(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path / "c.mp4", seconds=4)
    whole = clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    # The index at the end is lost.
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Rejected, match="decoded"):
        await probe(cut)
    short = draw_clip(tmp_path / "short.mp4", seconds=0.1)
    with pytest.raises(Rejected, match="is the least"):
        await probe(short)


@pytest.mark.parametrize("size", [(50_000, 50_000), (50_000, 10), (10, 10)])
async def test_still_of_absurd_size_is_unsound(tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "bomb.png"
    file.write_bytes(png_of(*size))
    with pytest.raises(Rejected):
        await probe(file)


async def test_formats_of_stills_and_clips_are_known(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "a.webp"):
        shape = await probe(draw_still(tmp_path / name))
        assert (shape.is_video, shape.width, shape.height) == (False, 800, 450)
    long = await probe(draw_clip(tmp_path / "long.mp4", seconds=40, size="128x72"))
    assert long.duration == 30.0  # what is longer was not decoded, and is not promised


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://example.org/clip.mp4",
        "https://pexels.com.example.org/clip.mp4",
        "https://user@pexels.com:22/clip.mp4",
        "file:///etc/passwd",
    ],
)
async def test_download_stays_with_the_librarys_hosts(
    make: Make, server: StockServer, name: str, target: str
) -> None:
    for number in (7, 8, 9):
        server.faults[f"/files/{number}-360/clip.mp4"] = Reply(
            302, b"", "text/plain", {"Location": target}
        )
    found = await make(name).find(WISH, used=())
    assert found is not None
    assert found.credit.asset_id == "photo-70"


async def test_clip_that_is_a_still_and_an_address_that_is_none_are_passed_over(
    make: Make, server: StockServer
) -> None:
    files = [{"link": "https://[::1/x", "width": 640, "height": 360}]
    broken = {"id": 1, "duration": 9, "video_files": files}
    server.faults["/files/7-360/clip.mp4"] = Reply(200, server.files["still.jpg"][0], "video/mp4")

    def with_broken(request: Request) -> Reply:
        del server.faults[request.path]
        answer = json.loads(server.answer(request).body)
        return as_json({"videos": [broken, *answer["videos"]]})

    server.faults["/v1/videos/search"] = with_broken
    found = await make("pexels").find(WISH, used=())
    assert found is not None
    assert found.credit.asset_id == "video-8"


@pytest.mark.parametrize("name", STOCK)
async def test_redirect_within_the_library_is_followed_a_few_times(
    make: Make, server: StockServer, name: str
) -> None:
    server.faults["/files/7-360/clip.mp4"] = Reply(
        302, b"", "text/plain", {"Location": "/files/moved/clip.mp4"}
    )
    server.faults["/files/8-360/clip.mp4"] = Reply(
        302, b"", "text/plain", {"Location": "/files/8-360/clip.mp4"}
    )
    found = await make(name).find(WISH, used=())
    assert found is not None
    assert found.credit.asset_id == "video-7"
    again = await make(name).find(WISH, used=(found.credit.key,))
    assert again is not None
    assert again.credit.asset_id == "video-9"  # the other went round in a circle


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize(("status", "kind"), [(500, Transient), (429, Deferred)])
async def test_download_that_may_work_later_is_not_passed_over(
    make: Make, server: StockServer, name: str, status: int, kind: type[StageError]
) -> None:
    server.faults["/files/7-360/clip.mp4"] = Reply(status)
    with pytest.raises(kind):
        await make(name).find(WISH, used=())


@pytest.mark.parametrize("name", STOCK)
async def test_broken_off_download_leaves_nothing_and_is_repeated(
    make: Make, server: StockServer, cache_folder: Path, name: str
) -> None:
    body, media_type = server.files["clip.mp4"]
    server.faults["/files/7-360/clip.mp4"] = Reply(200, body[:-100], media_type, length=len(body))
    with pytest.raises(Transient):
        await make(name).find(WISH, used=())
    assert list((cache_folder / name).iterdir()) == []
    server.faults.clear()
    found = await make(name).find(WISH, used=())
    assert found is not None
    assert found.credit.asset_id == "video-7"


async def test_cache_forgets_what_nobody_used_for_two_weeks(
    make: Make, server: StockServer, clock: Clock, cache_folder: Path
) -> None:
    found = await make("pexels").find(WISH, used=())
    assert found is not None
    leftover = cache_folder / "pexels" / ".x.part"
    leftover.touch()
    cache = FootageCache(cache_folder, probe=probe, clock=clock)
    clock.now = datetime.now(UTC) + timedelta(days=13)
    cache.prune()
    assert found.scene.path.exists()
    assert not leftover.exists()
    clock.now += timedelta(days=2)
    cache.prune()
    assert not found.scene.path.exists()


async def test_folder_matches_words_and_reads_what_is_told_beside_a_file(
    make: Make, media: Path
) -> None:
    told = {"author": "Me\u202e", "licence": "CC0", "page_url": "https://e.org/1"}
    (media / "Sea" / "whale.mp4.json").write_text(json.dumps(told))
    found = await make("folder").find(replace(WISH, queries=("Whales!",)), used=())
    assert found is not None
    credit = found.credit
    assert (credit.asset_id, credit.author, credit.licence) == ("Sea/whale.mp4", "Me", "CC0")
    assert credit.page_url == "https://e.org/1"


async def test_folder_passes_over_what_is_not_sound(make: Make, media: Path) -> None:
    (media / "volcano-1.mp4").write_bytes(b"<html>")
    (media / "volcano-2.mp4").write_bytes(b"")
    (media / "volcano.txt").write_text("volcano")
    footage = make("folder")
    wish = replace(WISH, queries=("volcano",))
    assert await footage.find(wish, used=()) is None
    draw_clip(media / "volcano-3.mp4")
    found = await footage.find(wish, used=())
    assert found is not None
    assert found.credit.asset_id == "volcano-3.mp4"
