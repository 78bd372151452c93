"""Clips behind scenes: made by ffmpeg, decoded by it, every frame known by its brightness."""

import asyncio
import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.domain import Film, SceneFootage, SectionKind, VideoFormat
from pipeline.errors import Rejected, Transient
from pipeline.render.clip import Clip, Undecodable, container_of
from pipeline.render.placement import Picture, place
from pipeline.render.plan import Look, plan_film
from pipeline.render.planes import Frame, yuv_of
from pipeline.render.probe import probe
from pipeline.render.renderer import FilmRenderer
from pipeline.render.segments import segments_of
from tests.integration.render.test_renderer import OPTIONS, drawers, speak
from tests.unit.pipeline.render.films import make_film
from tests.unit.pipeline.test_children import wait_until_gone

LOOK = Look(
    width=160,
    height=144,
    fps=30,
    palette="midnight coral",
    title_face="",
    channel="",
    title="",
    bounds=(0, 900),
)


def make_clip(file: Path, *source: str, encode: Sequence[str] = ()) -> Path:
    """A clip of whatever the arguments are."""
    coded = encode or (
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "8",
        "-bf",
        "2",
        "-g",
        "12",
    )
    command = [str(OPTIONS.ffmpeg), "-y", "-v", "error", *source, *coded]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(file)], check=True)
    return file


def counting(file: Path, frames: int, rate: str, *, step: int = 2) -> Path:
    """A clip whose frame i is of the plain luma 20 + step * i."""
    level = f"geq=lum='20+{step}*N':cb=128:cr=128"
    source = f"color=black:s=192x108:r={rate},format=yuv420p,{level},setparams=colorspace=bt709"
    return make_clip(file, "-f", "lavfi", "-i", source, "-frames:v", str(frames))


def footage_of(file: Path, seconds: float, focus: tuple[float, float] = (0.5, 0.5)) -> SceneFootage:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return SceneFootage(file, digest, True, seconds, 192, 108, focus)


def placed(file: Path, seconds: float, shown: int) -> Picture:
    return place(footage_of(file, seconds), shown, LOOK.fps)


def lumas(picture: Picture, places: Sequence[int], *, anew: bool = False) -> list[float]:
    """The mean luma of frames of a scene; `anew` starts a decoder for each."""
    frame, found = Frame(LOOK.width, LOOK.height), []
    clip = Clip(picture, LOOK, OPTIONS.ffmpeg)
    for k in places:
        clip.draw(frame, k)
        found.append(float(frame.y.mean()))
        if anew:
            clip.close()
    clip.close()
    return found


def test_frames_of_the_films_rate_come_one_by_one(tmp_path: Path) -> None:
    clip = placed(counting(tmp_path / "clip.mp4", 90, "30"), 3.0, 90)
    seen = lumas(clip, range(90))
    assert np.abs(np.array(seen) - (20 + 2 * np.arange(90))).max() < 0.8


@pytest.mark.parametrize("rate", ["24", "25", "30", "50", "60", "30000/1001", "12"])
def test_a_frame_is_the_same_wherever_decoding_began(tmp_path: Path, rate: str) -> None:
    frames = 100
    clip = placed(counting(tmp_path / "clip.mp4", frames, rate), frames / float(Fraction(rate)), 45)
    straight = lumas(clip, range(45))
    places = [0, 1, 7, 8, 9, 16, 29, 30, 44]
    assert lumas(clip, places, anew=True) == [straight[k] for k in places]
    times = np.arange(45) / 30 * float(Fraction(rate))
    assert np.abs((np.array(straight) - 20) / 2 - times).max() <= 1.0
    assert straight == sorted(straight)


def test_a_short_clip_starts_over_without_a_jump(tmp_path: Path) -> None:
    clip = placed(counting(tmp_path / "clip.mp4", 60, "30"), 2.0, 300)
    assert clip.period == 45
    seen = lumas(clip, range(150))
    assert seen[44] - seen[0] == pytest.approx(88, abs=1)
    assert seen[45 + 20 : 45 + 40] == seen[90 + 20 : 90 + 40]
    falls = -np.diff(seen)
    assert 0 < falls.max() < 14  # a cut back to the beginning would be 118
    assert lumas(clip, [47, 95, 139], anew=True) == [seen[47], seen[95], seen[139]]


def test_a_clip_that_ends_early_stands_still(tmp_path: Path) -> None:
    file = counting(tmp_path / "clip.mp4", 30, "30")
    said_to_last_longer = placed(file, 5.0, 150)
    straight = lumas(said_to_last_longer, range(20, 140, 10))
    assert straight[0] == pytest.approx(60, abs=1)
    assert all(level == pytest.approx(78, abs=1) for level in straight[1:])
    assert lumas(said_to_last_longer, [28, 31, 60, 139], anew=True)[1:] == [straight[-1]] * 3
    tiny = placed(counting(tmp_path / "tiny.mp4", 6, "30", step=10), 0.2, 90)
    assert lumas(tiny, [5, 6, 80]) == [pytest.approx(70, abs=1)] * 3


def test_a_slowed_clip_reaches_its_end_with_its_scene(tmp_path: Path) -> None:
    clip = placed(counting(tmp_path / "clip.mp4", 90, "30"), 3.0, 99)
    assert clip.stretch == pytest.approx(1.1)
    seen = lumas(clip, [0, 49, 98])
    assert seen == [pytest.approx(level, abs=3) for level in (20, 109, 198)]


@pytest.mark.parametrize(("focus", "luma"), [(0.1, 60), (0.9, 180)])
def test_a_vertical_frame_shows_the_focus_of_a_wide_clip(
    tmp_path: Path, focus: float, luma: int
) -> None:
    halves = (
        "color=black:s=320x180:r=30,format=yuv420p,geq=lum='if(lt(X,160),60,180)':cb=128:cr=128"
    )
    file = make_clip(tmp_path / "wide.mp4", "-f", "lavfi", "-i", halves, "-frames:v", "3")
    look = LOOK.model_copy(update={"width": 144, "height": 256})
    frame = Frame(144, 256)
    clip = Clip(place(footage_of(file, 0.1, (focus, 0.5)), 3, 30), look, OPTIONS.ffmpeg)
    clip.draw(frame, 1)
    clip.close()
    assert np.abs(frame.y.astype(int) - luma).max() <= 6


@pytest.mark.parametrize(
    ("size", "matrix", "label"),
    [
        ("1280x720", "bt709", "bt709"),
        ("1280x720", "bt709", ""),
        ("320x240", "smpte170m", ""),
        ("1280x720", "smpte170m", "smpte170m"),
    ],
)
def test_colours_are_those_of_the_clip(tmp_path: Path, size: str, matrix: str, label: str) -> None:
    source = f"color=0xC83C28:s={size}:r=30,scale=out_color_matrix={matrix}:out_range=tv"
    marked = f",setparams=colorspace={label or 'unknown'}:range=tv"
    chain = f"{source},format=yuv420p{marked}"
    file = make_clip(tmp_path / "red.mp4", "-f", "lavfi", "-i", chain, "-frames:v", "3")
    frame = Frame(LOOK.width, LOOK.height)
    clip = Clip(placed(file, 0.1, 3), LOOK, OPTIONS.ffmpeg)
    clip.draw(frame, 1)
    clip.close()
    wanted = yuv_of((0xC8, 0x3C, 0x28))
    for plane, value in zip((frame.y, frame.u, frame.v), wanted, strict=True):
        assert float(plane.mean()) == pytest.approx(value, abs=2.5)


def test_webm_is_decoded_and_what_names_other_files_is_not(tmp_path: Path) -> None:
    level = "color=0x808080:s=192x108:r=30"
    encode = ("-c:v", "libvpx", "-deadline", "realtime")
    webm = make_clip(
        tmp_path / "clip.webm", "-f", "lavfi", "-i", level, "-frames:v", "9", encode=encode
    )
    assert container_of(webm) == "matroska"
    assert lumas(placed(webm, 0.3, 9), [4]) == [pytest.approx(126, abs=2)]
    secret = counting(tmp_path / "secret.mp4", 9, "30")
    playlist = tmp_path / "clip.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(Undecodable, match=r"clip\.mp4 is neither"):
        lumas(placed(playlist, 0.3, 9), [4])


async def render(film: Film, folder: Path) -> Path:
    renderer = FilmRenderer(OPTIONS)
    return (await renderer.render(film, folder=folder, progress=lambda part: None)).video


def film_over(folder: Path, *footage: SceneFootage | None, pace: float = 0.27) -> Film:
    """A film of three short sections."""
    parts = (
        (SectionKind.HOOK, "Hook", "One two three."),
        (SectionKind.BODY, "Body", "Left in 1969, 3.8 then gone away."),
        (SectionKind.OUTRO, "", "Bye now."),
    )
    film = make_film(parts, seconds_a_word=pace, frame=VideoFormat(320, 180))
    return replace(speak(film, folder / "narration.wav"), footage=footage)


async def test_a_film_with_clips_has_its_frames_and_goes_on_segment_by_segment(
    tmp_path: Path,
) -> None:
    clip = footage_of(counting(tmp_path / "clip.mp4", 60, "24"), 2.5)
    film, folder = (
        film_over(tmp_path, clip, None, replace(clip, focus=(0.2, 0.5))),
        tmp_path / "out",
    )
    video = await render(film, folder)
    picture, _ = await probe(OPTIONS, video)
    assert picture.packets == int(np.ceil(round(film.duration * 30, 6)))
    whole, segments = video.read_bytes(), segments_of(plan_film(film), OPTIONS)
    assert len(segments) >= 4
    # As after a crash: some are there, some are not. They begin at other places of the clip.
    for lost in (segments[0], segments[-1], segments[len(segments) // 2]):
        (folder / lost.name).unlink()
    kept = {f.name: f.stat().st_mtime_ns for f in folder.glob("segment-*.mp4")}
    assert (await render(film, folder)).read_bytes() == whole
    assert all((folder / name).stat().st_mtime_ns == time for name, time in kept.items())
    moved = (tmp_path / "clip.mp4").rename(tmp_path / "moved.mp4")
    again = replace(film, footage=tuple(f and replace(f, path=moved) for f in film.footage))
    before = {f.name for f in folder.glob("segment-*.mp4")}
    await render(again, folder)
    assert {f.name for f in folder.glob("segment-*.mp4")} == before


@pytest.mark.parametrize(
    "content", [b"\0\0\0\x20ftypisom" + b"\0" * 4000, b"<html>sorry</html>", b""]
)
async def test_a_clip_that_cannot_be_decoded_is_rejected_by_name(
    tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken-waves.mp4"
    broken.write_bytes(content)
    film = film_over(tmp_path, None, footage_of(broken, 3.0), None)
    with pytest.raises(Rejected, match=r"broken-waves\.mp4"):
        await render(film, tmp_path / "out")
    assert not (tmp_path / "out" / "video.mp4").exists()


async def test_a_clip_cut_off_in_its_data_is_rejected_or_held(tmp_path: Path) -> None:
    """Its index says more than there is: what decodes is shown, nothing at all is refused."""
    noisy = "testsrc2=s=192x108:r=30,noise=alls=60:allf=t"
    encode = ("-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart")
    file = make_clip(
        tmp_path / "cut.mp4", "-f", "lavfi", "-i", noisy, "-frames:v", "90", encode=encode
    )
    content = file.read_bytes()
    start = content.index(b"mdat")
    file.write_bytes(content[: start + (len(content) - start) // 2])
    seen = lumas(placed(file, 3.0, 90), [0, 20, 70, 80, 89])
    assert seen[-1] == seen[-2] == seen[-3]
    file.write_bytes(content[: start + 40])
    with pytest.raises(Undecodable, match=r"cut\.mp4"):
        lumas(placed(file, 3.0, 90), [70])


async def test_missing_footage_may_be_back_the_next_time(tmp_path: Path) -> None:
    gone = footage_of(counting(tmp_path / "gone.mp4", 9, "30"), 0.3)
    gone.path.unlink()
    with pytest.raises(Transient, match=r"gone\.mp4"):
        await render(film_over(tmp_path, gone, None, None), tmp_path / "out")


async def test_cancelling_ends_the_decoders_too(tmp_path: Path) -> None:
    clip = footage_of(counting(tmp_path / "clip.mp4", 100, "30", step=1), 3.3)
    film = film_over(tmp_path, clip, clip, clip, pace=3.0)
    drawing = asyncio.Event()
    others = drawers()
    renderer = FilmRenderer(OPTIONS)
    task = asyncio.create_task(
        renderer.render(
            film,
            folder=tmp_path / "out",
            progress=lambda part: drawing.set() if part > 0 else None,
        )
    )
    async with asyncio.timeout(60):
        await drawing.wait()
    started = drawers() - others
    assert len(started) >= 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all([await asyncio.to_thread(wait_until_gone, pid) for pid in started])
