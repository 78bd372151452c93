"""What only the local host has: its files, its page, and any number of processes that die in it."""

import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest

from pipeline.domain import Visibility
from pipeline.errors import Rejected, Transient
from pipeline.providers import host_records
from pipeline.providers.host_local import LocalHost
from pipeline.providers.host_page import film_seconds
from pipeline.providers.host_records import slug, vtt_from_srt
from tests.contract.test_video_host import NOW, PUBLIC, SRT, UNLISTED, Clock, Stand

MVHD = bytes(4) + bytes(8) + (1000).to_bytes(4) + (65_500).to_bytes(4) + bytes(80)
MP4 = (
    b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"
    + (16 + len(MVHD)).to_bytes(4) + b"moov" + (8 + len(MVHD)).to_bytes(4) + b"mvhd" + MVHD
)  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Stand:
    clock, root = Clock(), tmp_path / "host"
    return Stand(
        lambda channel: LocalHost(root, channel, f"Chan <{channel}>", clock), clock, tmp_path
    )


def published(host: Stand) -> list[str]:
    return sorted(p.name for p in (host.folder / "host/UC_own/published").iterdir())


def page(host: Stand) -> str:
    return (host.folder / "host/index.html").read_text(encoding="utf-8")


async def titled(host: Stand, title: str, content: bytes = MP4) -> str:
    file, draft = host.film(content)
    session = await host().open_upload(replace(draft, title=title))
    video_id = await host().send(session, file, progress=host.heard.append)
    assert video_id is not None
    return video_id


async def test_published_files_carry_human_names(host: Stand) -> None:
    video_id = await titled(host, "The Moon: 5 Facts!")
    assert published(host) == []
    captions, image = host.folder / "c.srt", host.folder / "t.jpg"
    captions.write_text(SRT)
    image.write_bytes(b"\xff\xd8")
    publication = await host().publish(video_id, PUBLIC, None)
    await host().add_thumbnail(video_id, image)
    await host().add_captions(video_id, captions, "en")
    await host().add_captions(video_id, captions, "pt-BR")
    name = "2026-11-20-the-moon-5-facts"
    assert published(host) == sorted(
        f"{name}.{end}" for end in ("mp4", "jpg", "srt", "vtt", "pt-BR.srt", "pt-BR.vtt")
    )
    assert publication.path is not None
    assert Path(publication.path).read_bytes() == MP4
    await host().publish(video_id, Visibility.PRIVATE, None)
    assert published(host) == []


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Café Zürich's", "2026-11-20-cafe-zurichs"),
        ("../../etc/passwd", "2026-11-20-etc-passwd"),
        ("ירח 😀", "2026-11-20-video-"),
        ("A", "2026-11-20-a-"),
        ("wonder " * 14, "2026-11-20-wonder-wonder"),
    ],
)
async def test_names_are_safe_for_any_title(host: Stand, title: str, name: str) -> None:
    await host().publish(await titled(host, title.strip()), PUBLIC, None)
    (film,) = published(host)
    assert film.startswith(name)
    assert re.fullmatch(r"[a-z0-9-]+\.mp4", film)
    assert len(film) <= 84


async def test_equal_titles_get_different_names(host: Stand) -> None:
    for _ in range(3):
        await host().publish(await titled(host, "The Moon"), PUBLIC, None)
    assert len(published(host)) == 3


async def test_crash_between_name_and_link_is_finished_under_the_same_name(host: Stand) -> None:
    """A publication that died half-way is repeated on the next day: one name, not two."""
    video_id = await titled(host, "The Moon")
    folder = host_records.ChannelFolder(host.folder / "host", "UC_own")
    video = folder.get_video(video_id)
    folder.keep_video(replace(video, name="2026-11-20-the-moon"))
    (folder.published / "2026-11-20-the-moon.mp4").hardlink_to(folder.video(video_id) / "video.mp4")
    host.clock.now += timedelta(days=1)
    await host().publish(video_id, PUBLIC, None)
    assert published(host) == ["2026-11-20-the-moon.mp4"]


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


async def test_page_escapes_everything_and_its_addresses_lead_to_files(host: Stand) -> None:
    title = "<script>alert('x')</script> & \"quotes\" $count ${x}"
    video_id = await titled(host, title)
    captions, image = host.folder / "c.srt", host.folder / "t.jpg"
    captions.write_text(SRT)
    image.write_bytes(b"\xff\xd8")
    await host().publish(video_id, PUBLIC, None)
    await host().add_thumbnail(video_id, image)
    await host().add_captions(video_id, captions, "en")
    parsed = _Page(page(host))
    names = [tag for tag, _ in parsed.tags]
    assert "script" not in names
    assert title in parsed.text
    assert "Chan <UC_own>" in parsed.text
    assert "1:06" in parsed.text  # 65.5 seconds
    root = host.folder / "host"
    for tag, attributes in parsed.tags:
        for attribute in ("src", "poster", "href"):
            address = attributes.get(attribute)
            assert address is None or "//" not in address.removeprefix("data:text/vtt;base64,")
            if address and not address.startswith("data:"):
                assert (root / unquote(address)).is_file(), (tag, address)
    assert "video" in names
    assert "track" in names


async def test_page_shows_only_what_is_public_newest_first(host: Stand) -> None:
    ids = [await titled(host, title) for title in ("First", "Second", "Hidden", "Unlisted")]
    for video_id in ids[:2]:
        await host().publish(video_id, PUBLIC, None)
        host.clock.now += timedelta(minutes=1)
    await host().publish(ids[3], UNLISTED, None)
    shown = page(host)
    assert "Hidden" not in shown
    assert "Unlisted" not in shown
    assert 0 < shown.index("Second") < shown.index("First")


async def test_scheduled_video_appears_when_it_is_asked_about(host: Stand) -> None:
    video_id = await titled(host, "The Moon")
    await host().publish(video_id, PUBLIC, NOW + timedelta(hours=1))
    assert published(host) == []
    host.clock.now += timedelta(hours=2)
    await host().inspect(video_id)
    assert published(host) == ["2026-11-20-the-moon.mp4"]
    assert "The Moon" in page(host)


async def test_counters_are_read_from_the_file_and_nonsense_is_rejected(host: Stand) -> None:
    video_id = await titled(host, "The Moon")
    file = host.folder / "host/UC_own/videos" / video_id / "statistics.json"
    file.write_text('{"views": 12, "likes": 3}')
    found = await host().statistics(video_id)
    assert (found.views, found.likes, found.comments) == (12, 3, 0)
    for nonsense in ("[]", '{"views": -1}', '{"views": true}', "{"):
        file.write_text(nonsense)
        with pytest.raises(Rejected, match=r"statistics\.json"):
            await host().statistics(video_id)


@pytest.mark.parametrize("channel", ["", "..", "a/b", "a b", "x" * 65, "ü", "a\n"])
def test_channel_that_could_be_another_folder_is_refused(tmp_path: Path, channel: str) -> None:
    with pytest.raises(Rejected, match="channel"):
        LocalHost(tmp_path, channel, "Name")


async def test_session_of_another_channel_or_made_up_is_refused(host: Stand) -> None:
    file, draft = host.film()
    session = await host("UC_other").open_upload(draft)
    with pytest.raises(Rejected, match="UC_other"):
        await host().send(session, file, progress=host.heard.append)
    for made_up in ("local-upload:UC_own/../../x", "local-upload:UC_own/" + "0" * 24):
        assert await host().send(made_up, file, progress=host.heard.append) is None


async def test_file_of_another_hash_than_announced_is_rejected(host: Stand) -> None:
    file, draft = host.film(b"a" * 5000)
    session = await host().open_upload(replace(draft, sha256="0" * 64))
    with pytest.raises(Rejected):
        await host().send(session, file, progress=host.heard.append)
    assert await host().find("yte-1") is None


async def test_damaged_bytes_of_an_upload_start_again(host: Stand) -> None:
    file, draft = host.film(os.urandom(50_000))
    session = await host().open_upload(draft)
    data = host.folder / "host/UC_own/sessions" / session.rsplit("/", 1)[1] / "data"
    data.write_bytes(b"torn by a power cut")
    with pytest.raises(Transient, match="again"):
        await host().send(session, file, progress=host.heard.append)
    assert await host().send(session, file, progress=host.heard.append)


def test_vtt_has_the_cues_of_the_srt_with_markup_made_harmless() -> None:
    assert vtt_from_srt(SRT.replace("\n", "\r\n")) == (
        "WEBVTT\n\n1\n00:00:00.400 --> 00:00:01.250\nHello &lt;b&gt;you&lt;/b&gt; &amp; me\n\n"
        "2\n00:00:02.000 --> 00:00:03.000\nBye\n"
    )


def test_slug_is_empty_when_nothing_is_left() -> None:
    assert slug("😀 ירח") == ""
    assert slug("It's  the Moon!") == "its-the-moon"


@pytest.mark.parametrize(
    ("content", "seconds"),
    [(MP4, 65.5), (b"", None), (b"not an mp4 at all", None), (bytes(64), None), (MP4[:30], None)],
)
def test_length_of_a_film_is_read_from_its_header(
    tmp_path: Path, content: bytes, seconds: float | None
) -> None:
    file = tmp_path / "x.mp4"
    file.write_bytes(content)
    assert film_seconds(file) == seconds


SENDER = """
import asyncio, pathlib, sys
from pipeline.providers.host_local import LocalHost

async def go(root, session, film):
    host = LocalHost(pathlib.Path(root), "UC_own", "Own")
    say = lambda part: print(part, flush=True)
    print(await host.send(session, pathlib.Path(film), progress=say), flush=True)

asyncio.run(go(*sys.argv[1:]))
"""


def start_sender(host: Stand, session: str, film: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, str(host.folder / "host"), session, str(film)],
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_killed_senders_lose_nothing_and_make_one_video(host: Stand) -> None:
    """Senders are killed at different moments, until one comes through."""
    content = os.urandom(60 << 20)
    file, draft = host.film(content)
    session = await host().open_upload(draft)
    for lines in (0, 1, 3):
        sender = start_sender(host, session, file)
        assert sender.stdout is not None
        for _ in range(lines):
            sender.stdout.readline()
        os.kill(sender.pid, signal.SIGKILL)
        sender.communicate()
    later: list[float] = []
    video_id = await host().send(session, file, progress=later.append)
    assert later[0] > 3 * (4 << 20) / len(content), "it went on from what the killed ones sent"
    film = host.folder / "host/UC_own/videos" / str(video_id) / "video.mp4"
    assert hashlib.sha256(film.read_bytes()).hexdigest() == draft.sha256
    assert await host().find("yte-1") == video_id


async def test_two_senders_of_one_session_make_one_video(host: Stand) -> None:
    file, draft = host.film(os.urandom(30 << 20))
    session = await host().open_upload(draft)
    other = start_sender(host, session, file)
    video_id = await host().send(session, file, progress=host.heard.append)
    output, _ = other.communicate()
    assert output.split()[-1] == video_id
    assert len(list((host.folder / "host/UC_own/videos").iterdir())) == 1


async def test_stopped_process_blocks_nobody_outside_a_chunk(host: Stand) -> None:
    """A zombie that sleeps between two chunks, then wakes, changes nothing."""
    file, draft = host.film(os.urandom(40 << 20))
    session = await host().open_upload(draft)
    zombie = start_sender(host, session, file)
    assert zombie.stdout is not None
    zombie.stdout.readline()
    _stop(zombie.pid)
    lock = host.folder / "host/UC_own/sessions" / session.rsplit("/", 1)[1] / "lock"
    while _is_locked(lock):  # it was stopped within a chunk: let it finish that one
        os.kill(zombie.pid, signal.SIGCONT)
        time.sleep(0.001)
        _stop(zombie.pid)
    video_id = await host().send(session, file, progress=host.heard.append)
    published_now = await host().publish(str(video_id), PUBLIC, None)
    os.kill(zombie.pid, signal.SIGCONT)
    output, _ = zombie.communicate()
    assert output.split()[-1] == video_id
    assert await host().publish(str(video_id), PUBLIC, None) == published_now
    assert len(published(host)) == 1


def _stop(pid: int) -> None:
    """Stop the process and wait until it has stopped: a signal sent is not one that has arrived."""
    os.kill(pid, signal.SIGSTOP)
    while psutil.Process(pid).status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
        time.sleep(0.001)


def _is_locked(file: Path) -> bool:
    import fcntl

    with file.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


PUBLISHER = """
import asyncio, pathlib, sys
from pipeline.domain import Visibility
from pipeline.providers.host_local import LocalHost

async def go(root, *ids):
    host = LocalHost(pathlib.Path(root), "UC_own", "Own")
    for video_id in ids:
        await host.publish(video_id, Visibility.PUBLIC, None)

asyncio.run(go(*sys.argv[1:]))
"""


async def test_processes_publishing_at_once_leave_a_whole_page(host: Stand) -> None:
    ids = [await titled(host, "The Moon") for _ in range(8)]
    root = str(host.folder / "host")
    processes = [
        subprocess.Popen([sys.executable, "-c", PUBLISHER, root, *order])
        for order in (ids, ids[::-1])
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(published(host)) == 8
    assert page(host).count("<article>") == 8


async def test_killed_publishers_are_finished_by_a_repeat(host: Stand) -> None:
    ids = [await titled(host, "The Moon") for _ in range(6)]
    root = host.folder / "host"
    for delay in (0.25, 0.3, 0.35):
        process = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(root), *ids])
        await asyncio.sleep(delay)
        process.kill()
        process.wait()
    for video_id in ids:
        await host().publish(video_id, PUBLIC, None)
    assert len(published(host)) == 6, "nothing half-made is left among the films"
    assert page(host).count("<article>") == 6
    for record in root.glob("UC_own/videos/*/video.json"):
        assert json.loads(record.read_bytes())["visibility"] == "public"
