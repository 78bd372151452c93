"""Whole films: rendered by the real ffmpeg, probed, interrupted, killed, rendered again."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from pipeline.domain import Film, SectionKind, VideoFormat
from pipeline.errors import Rejected, Transient
from pipeline.render import sound
from pipeline.render.encoder import RenderOptions
from pipeline.render.probe import probe
from pipeline.render.renderer import FilmRenderer
from tests.unit.pipeline.render.films import make_film
from tests.unit.pipeline.test_children import wait_until_gone

OPTIONS = RenderOptions(
    ffmpeg=Path(imageio_ffmpeg.get_ffmpeg_exe()), segment_seconds=1.0, preset="ultrafast"
)
SHORT = (
    (SectionKind.HOOK, "Hook", "One two three."),
    (SectionKind.BODY, "Body — 'quoted'; $(x) %{n}", "Left in 1969, 3.8 then."),
    (SectionKind.OUTRO, "", "Bye 👋 now."),
)


def speak(film: Film, file: Path, *, level: float = 0.25) -> Film:
    """The film with a narration: a tone while a word is spoken, silence between."""
    rate = 22_050
    samples = np.zeros(round(film.duration * rate))
    for section in film.sections:
        for word in section.words:
            first, last = round(word.start * rate), round(word.end * rate)
            envelope = np.hanning(last - first)
            tone = np.sin(2 * np.pi * 330 * np.arange(last - first) / rate)
            samples[first:last] = level * envelope * tone
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return replace(film, audio=file)


def decoded(video: Path, *arguments: str) -> bytes:
    """What ffmpeg decodes of a file."""
    command = [str(OPTIONS.ffmpeg), "-v", "error", "-i", str(video), *arguments, "pipe:1"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Film, Path, list[float]]:
    """One film, rendered once for the tests that only look at it."""
    folder = tmp_path_factory.mktemp("film")
    film = speak(make_film(SHORT, seconds_a_word=0.27), folder / "narration.wav")
    progress: list[float] = []
    asyncio.run(FilmRenderer(OPTIONS).render(film, folder=folder / "out", progress=progress.append))
    return film, folder / "out", progress


async def test_streams_are_what_platforms_want(rendered: tuple[Film, Path, list[float]]) -> None:
    film, folder, _ = rendered
    picture, heard = await probe(OPTIONS, folder / "video.mp4")
    for fact in ("h264 (High)", "yuv420p(tv, bt709", " 640x360", " 30 fps"):
        assert fact in picture.description.replace("Constrained Baseline", "High")
    assert "aac (LC)" in heard.description
    assert "48000 Hz, stereo" in heard.description
    assert picture.packets == int(np.ceil(round(film.duration * 30, 6)))
    assert picture.regular
    assert abs(picture.end - heard.end) <= 1 / 30
    assert 0 <= picture.end - film.duration < 1 / 30


def test_every_frame_decodes_at_its_time(rendered: tuple[Film, Path, list[float]]) -> None:
    film, folder, _ = rendered
    video = folder / "video.mp4"
    lines = decoded(video, "-map", "0:v", "-f", "framemd5").decode().splitlines()
    times = [int(line.split(",")[2]) for line in lines if not line.startswith("#")]
    assert times == list(range(len(times)))
    assert len(times) == int(np.ceil(round(film.duration * 30, 6)))


def test_index_stands_in_front(rendered: tuple[Film, Path, list[float]]) -> None:
    start = (rendered[1] / "video.mp4").read_bytes()[:65536]
    assert start.index(b"moov") < start.index(b"mdat")


async def test_sound_is_at_platform_loudness_without_clipping(
    rendered: tuple[Film, Path, list[float]],
) -> None:
    reached = await sound.measure(OPTIONS, rendered[1] / "video.mp4")
    assert abs(reached.integrated + 14) <= 0.5
    assert reached.true_peak <= -1


def test_words_are_heard_when_the_narration_says_them(
    rendered: tuple[Film, Path, list[float]],
) -> None:
    film, folder, _ = rendered
    raw = decoded(folder / "video.mp4", "-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "s16le")
    samples = np.abs(np.frombuffer(raw, "<i2").astype(float))
    for section in film.sections:
        for word in section.words:
            around = samples[round((word.start - 0.1) * 48000) : round((word.end + 0.1) * 48000)]
            weights = np.arange(len(around)) / 48000
            heard = float((around * weights).sum() / around.sum()) + word.start - 0.1
            assert abs(heard - (word.start + word.end) / 2) < 0.03


def test_captions_hold_the_spoken_words(rendered: tuple[Film, Path, list[float]]) -> None:
    film, folder, _ = rendered
    srt = (folder / "captions.srt").read_text()
    shown = [line for block in srt.split("\n\n") for line in block.strip().split("\n")[2:]]
    spoken = [word.text for section in film.sections for word in section.words]
    assert " ".join(shown).split() == spoken
    assert (folder / "captions.vtt").read_text().startswith("WEBVTT\n")


def test_thumbnail_is_a_jpeg_of_its_size(rendered: tuple[Film, Path, list[float]]) -> None:
    raw = decoded(rendered[1] / "thumbnail.jpg", "-f", "rawvideo", "-pix_fmt", "gray")
    assert len(raw) == 1280 * 720


def test_progress_rises_to_the_end(rendered: tuple[Film, Path, list[float]]) -> None:
    progress = rendered[2]
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert progress[-1] == 1
    assert len(progress) > 4


async def test_repeat_reuses_everything_and_makes_the_same_film(
    rendered: tuple[Film, Path, list[float]],
) -> None:
    film, folder, _ = rendered
    before = (folder / "video.mp4").read_bytes()
    stamps = {f.name: f.stat().st_mtime_ns for f in folder.glob("s*-*.m*")}
    assert len(stamps) >= 4
    damaged = sorted(folder.glob("segment-*.mp4"))[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    (folder / ".part-1-segment-old.mp4").write_bytes(b"left behind")
    await FilmRenderer(OPTIONS).render(film, folder=folder, progress=lambda part: None)
    assert (folder / "video.mp4").read_bytes() == before
    assert damaged.read_bytes() == whole
    for file in folder.glob("s*-*.m*"):
        assert (file.stat().st_mtime_ns == stamps[file.name]) == (file != damaged)
    assert not list(folder.glob(".part-*"))


WORKER = """
import asyncio, pickle, sys
from pathlib import Path
from pipeline.render.renderer import FilmRenderer

film, options = pickle.loads(Path(sys.argv[1]).read_bytes())
renderer = FilmRenderer(options)
report = lambda part: print(part, flush=True)
asyncio.run(renderer.render(film, folder=Path(sys.argv[2]), progress=report))
"""


def children_of(pid: int) -> list[int]:
    """A process's children and theirs."""
    found = []
    with contextlib.suppress(OSError):  # it has gone meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children_of(int(child))]
    return found


def drawers() -> set[int]:
    """What this process has started to draw, encode or measure; of its other children, such as the
    databases of tests, some come and go."""
    found = set()
    for child in children_of(os.getpid()):
        with contextlib.suppress(OSError):  # gone since
            if Path(f"/proc/{child}/comm").read_text().strip() != "postgres":
                found.add(child)
    return found


def test_a_killed_render_leaves_no_process_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    import pickle

    film = speak(make_film(seconds_a_word=0.45), tmp_path / "narration.wav")
    folder, job = tmp_path / "out", tmp_path / "job"
    options = replace(OPTIONS, segment_seconds=0.7)
    job.write_bytes(pickle.dumps((film, options)))
    arguments = [sys.executable, "-I", "-c", WORKER, str(job), str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if len(list(folder.glob("segment-*.mp4"))) >= 3 and float(line) < 0.9:
                break
        started = children_of(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)
    assert worker.returncode == -signal.SIGKILL
    assert len(started) >= 2
    assert all(wait_until_gone(pid) for pid in started)

    finished = {f.name: f.stat() for f in folder.glob("segment-*.mp4")}
    assert len(finished) >= 3
    answer = subprocess.run(arguments, capture_output=True, check=True, text=True)
    assert float(answer.stdout.splitlines()[0]) > 0.05  # it starts with what was there
    for name, before in finished.items():
        after = (folder / name).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(list(folder.glob("segment-*.mp4"))) > len(finished)
    assert (folder / "video.mp4").exists()


async def test_cancelling_kills_every_process(tmp_path: Path) -> None:
    film = speak(make_film(seconds_a_word=2.0), tmp_path / "narration.wav")
    drawing = asyncio.Event()

    def progress(part: float) -> None:
        if part > 0:
            drawing.set()

    others = drawers()
    renderer = FilmRenderer(OPTIONS)
    task = asyncio.create_task(renderer.render(film, folder=tmp_path / "out", progress=progress))
    async with asyncio.timeout(60):
        await drawing.wait()
    started = drawers() - others
    assert len(started) >= 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all([await asyncio.to_thread(wait_until_gone, pid) for pid in started])
    assert not (tmp_path / "out" / "video.mp4").exists()


async def test_a_vertical_film_renders(tmp_path: Path) -> None:
    parts = ((SectionKind.HOOK, "لماذا", "يبتعد القمر."),)
    film = make_film(parts, title="لماذا يبتعد القمر", frame=VideoFormat(202, 360, 25))
    film = speak(film, tmp_path / "narration.wav")
    files = await FilmRenderer(OPTIONS).render(film, folder=tmp_path, progress=lambda part: None)
    picture, _ = await probe(OPTIONS, files.video)
    assert " 202x360" in picture.description
    assert " 25 fps" in picture.description


async def test_peaky_sound_is_limited_to_its_loudness(tmp_path: Path) -> None:
    rate = 22_050
    rng = np.random.default_rng(3)
    samples = rng.standard_normal(rate * 3) * 0.01
    samples[:: rate // 8] = 0.9  # clicks 35 dB above the rest
    with wave.open(str(tmp_path / "clicks.wav"), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    reached = await sound.build(
        OPTIONS, tmp_path / "clicks.wav", tmp_path / "clicks.m4a", seconds=3.0
    )
    assert abs(reached.integrated + 14) <= 0.5
    assert reached.true_peak <= -1
    (heard,) = await probe(OPTIONS, tmp_path / "clicks.m4a")
    assert abs(heard.end - 3.0) < 1 / 30


async def test_a_silent_narration_is_rejected(tmp_path: Path) -> None:
    film = speak(make_film(SHORT), tmp_path / "silence.wav", level=0.0)
    with pytest.raises(Rejected, match="silent"):
        await FilmRenderer(OPTIONS).render(film, folder=tmp_path, progress=lambda part: None)


async def test_a_broken_encoder_says_so(tmp_path: Path) -> None:
    film = speak(make_film(SHORT), tmp_path / "narration.wav")
    options = replace(OPTIONS, preset="no-such-preset")
    with pytest.raises(Transient, match="no-such-preset"):
        await FilmRenderer(options).render(film, folder=tmp_path, progress=lambda part: None)


def test_plan_file_tells_what_was_drawn(rendered: tuple[Film, Path, list[float]]) -> None:
    plan = json.loads((rendered[1] / "plan.json").read_text())
    assert plan["look"]["title"] == rendered[0].script.title
