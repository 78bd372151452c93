"""Frames with stills behind the type: legibility on any picture, motion, crops, limits."""

import hashlib
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.domain import SceneFootage, VideoFormat
from pipeline.render.caption_art import UPCOMING_OPACITY
from pipeline.render.clip import Undecodable
from pipeline.render.palette import PALETTES, Palette
from pipeline.render.plan import Plan, plan_film
from pipeline.render.planes import Bytes, Floats, Frame
from pipeline.render.scene import FilmArtist
from pipeline.render.still import Still, load, motion, sample
from tests.unit.pipeline.render.films import make_film

FORMATS = [VideoFormat(640, 360), VideoFormat(360, 640)]
NOISE = np.random.default_rng(4).choice(np.array([0, 255], np.uint8), (500, 800, 3))
PICTURES = {
    "white": np.full((500, 800, 3), 255, np.uint8),
    "black": np.zeros((500, 800, 3), np.uint8),
    "noise": NOISE,
    "checks": np.kron(np.indices((10, 16)).sum(0) % 2 * 255, np.ones((50, 50)))
    .astype(np.uint8)[:, :, None]
    .repeat(3, 2),
}


def still(file: Path, rgb: Bytes, focus: tuple[float, float] = (0.5, 0.5)) -> SceneFootage:
    """A stored picture as footage."""
    Image.fromarray(rgb).save(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return SceneFootage(file, digest, False, 0.0, rgb.shape[1], rgb.shape[0], focus)


def plan_over(footage: SceneFootage, frame: VideoFormat, palette: Palette | None = None) -> Plan:
    """The Moon with one picture behind every section."""
    plan = plan_film(replace(make_film(frame=frame), footage=(footage,) * 3))
    if palette is None:
        return plan
    return plan.model_copy(update={"look": plan.look.model_copy(update={"palette": palette.name})})


def luminance(rgb: Bytes | Floats) -> Floats:
    """The relative luminance of WCAG, a pixel each."""
    c = np.asarray(rgb, np.float32) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]), np.float32)


def least_contrast(text: Floats, behind: Bytes | Floats) -> float:
    """The smallest contrast of a colour with the pixels behind it, or of pixels with theirs."""
    a, b = luminance(text), luminance(behind)
    return float(((np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)).min())


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
@pytest.mark.parametrize("frame_format", FORMATS, ids=str)
@pytest.mark.parametrize("name", PICTURES)
def test_type_is_legible_on_any_picture(
    tmp_path: Path, palette: Palette, frame_format: VideoFormat, name: str
) -> None:
    footage = still(tmp_path / "picture.png", PICTURES[name])
    plan = plan_over(footage, frame_format, palette)
    artist, frame = FilmArtist(plan), Frame(frame_format.width, frame_format.height)
    for index, planned in enumerate(plan.scenes):
        scene, n = artist._scene(index), (planned.first + planned.last) // 2
        scene.draw_ground(frame, n)
        behind = frame.rgb()
        assert scene._heading is not None
        box = scene._heading.box
        text = np.array(palette.box_text, np.float32)
        rows, columns = (
            slice(int(box.top), int(box.bottom) + 1),
            slice(int(box.left), int(box.right) + 1),
        )
        assert least_contrast(text, behind[rows, columns]) >= 4.5
        mark = artist._mark_over_footage
        under = behind[mark.y : mark.y + mark.height, mark.x : mark.x + mark.width]
        assert least_contrast(text * 0.92 + under * 0.08, under) >= 4.5
        assert palette.over_footage().text == palette.box_text


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
@pytest.mark.parametrize("name", ["white", "black"])
def test_captions_are_legible_on_any_picture(tmp_path: Path, palette: Palette, name: str) -> None:
    plan = plan_over(still(tmp_path / "picture.png", PICTURES[name]), FORMATS[0], palette)
    artist, frame = FilmArtist(plan), Frame(640, 360)
    cue = plan.scenes[1].cues[0]
    artist.draw(frame, cue.first + 5)
    sprite = artist._captions.sprite(cue, 0)
    # Inside of the box's right end, where no word is.
    edge = frame.rgb()[
        sprite.y + sprite.height // 2 - 2 : sprite.y + sprite.height // 2 + 2,
        sprite.x + sprite.width - 16 : sprite.x + sprite.width - 12,
    ]
    text = np.array(palette.box_text, np.float32)
    assert least_contrast(text, edge) >= 4.5
    upcoming = UPCOMING_OPACITY * text + (1 - UPCOMING_OPACITY) * edge
    assert least_contrast(upcoming, edge) >= 4.5


def test_pictures_stay_bright_where_no_type_is(tmp_path: Path) -> None:
    plan = plan_over(still(tmp_path / "white.png", PICTURES["white"]), FORMATS[0])
    artist, frame = FilmArtist(plan), Frame(640, 360)
    artist._scene(2).draw_ground(frame, plan.scenes[2].first + 10)
    assert frame.rgb()[120:220, 590:].mean() > 200


def test_scenes_without_footage_keep_their_ground(tmp_path: Path) -> None:
    film = make_film()
    footage = still(tmp_path / "white.png", PICTURES["white"])
    bare = plan_film(film)
    mixed = plan_film(replace(film, footage=(None, None, footage)))
    one, other = Frame(640, 360), Frame(640, 360)
    for n in (10, bare.scenes[1].first + 3, bare.scenes[2].first - 1):
        FilmArtist(bare).draw(one, n)
        FilmArtist(mixed).draw(other, n)
        assert np.array_equal(one.buffer, other.buffer)
    FilmArtist(bare).draw(one, bare.scenes[2].first + 20)
    FilmArtist(mixed).draw(other, bare.scenes[2].first + 20)
    assert not np.array_equal(one.buffer, other.buffer)


def test_frames_with_a_still_depend_on_plan_and_number_alone(tmp_path: Path) -> None:
    plan = plan_over(still(tmp_path / "noise.png", NOISE), FORMATS[0])
    n = plan.scenes[1].first + 5  # two scenes dissolve here
    one, other = Frame(640, 360), Frame(640, 360)
    FilmArtist(plan).draw(one, n)
    artist = FilmArtist(Plan.model_validate_json(plan.model_dump_json()))
    for m in (2, plan.look.frames - 2, n):
        artist.draw(other, m)
    assert np.array_equal(one.buffer, other.buffer)


@pytest.mark.parametrize("seed", range(6))
def test_the_motion_of_stills_is_free_of_jitter(seed: int) -> None:
    """The measured place of a spot accelerates by under 0.05 px/frame^2 (RMS), as it should."""
    size, window, frames = (1100, 700), (640, 360), 150
    path = motion(size, (0.5, 0.5), window, 1.1, 5.0, frames, seed)
    xs, ys = np.arange(size[0])[None, :], np.arange(size[1])[:, None]
    spot = (30 + 200 * np.exp(-((xs - 560) ** 2 + (ys - 340) ** 2) / 450)).astype(np.uint8)
    target = np.empty((360, 640), np.uint8)
    across, down = np.arange(640)[None, :], np.arange(360)[:, None]
    measured, wanted = [], []
    for k in range(frames):
        view = path.at(k)
        step = view.width / 640
        sample(spot, target, view.x, view.y, step)
        light = np.clip(target.astype(np.float64) - 40, 0, None)
        measured.append([(light * across).sum(), (light * down).sum()] / light.sum())
        wanted.append([(560.5 - view.x) / step + 639 / 2, (340.5 - view.y) / step + 359 / 2])
    places = np.array(measured)
    assert np.abs(places - np.array(wanted)).max() < 0.15
    assert np.ptp(places, axis=0).max() > 3
    acceleration = np.diff(places, n=2, axis=0)
    assert float(np.sqrt((acceleration**2).sum(axis=1).mean())) < 0.05


@pytest.mark.parametrize(("focus", "colour"), [(0.05, (220, 30, 30)), (0.95, (30, 30, 220))])
def test_a_vertical_frame_shows_the_focus_of_a_wide_still(
    tmp_path: Path, focus: float, colour: tuple[int, int, int]
) -> None:
    wide = np.zeros((500, 1400, 3), np.uint8)
    wide[:, :700], wide[:, 700:] = (220, 30, 30), (30, 30, 220)
    footage = still(tmp_path / "wide.png", wide, (focus, 0.5))
    plan = plan_over(footage, FORMATS[1])
    assert plan.scenes[0].footage is not None
    frame = Frame(360, 640)
    shown = Still(plan.scenes[0].footage, 360, 640, 90, 30, 7)
    for k in (0, 89):
        shown.draw(frame, k)
        assert np.abs(frame.rgb()[::7, ::7].astype(int) - colour).max() <= 4


@pytest.mark.parametrize("shape", [(3, 4), (1, 900), (900, 1), (37, 6000), (3000, 4000)])
def test_stills_of_any_shape_fill_the_frame(tmp_path: Path, shape: tuple[int, int]) -> None:
    footage = still(tmp_path / "still.png", np.full((*shape, 3), 200, np.uint8))
    for frame_format in FORMATS:
        plan = plan_over(footage, frame_format)
        assert plan.scenes[0].footage is not None
        frame = Frame(frame_format.width, frame_format.height)
        Still(plan.scenes[0].footage, frame.width, frame.height, 90, 30, 7).draw(frame, 45)
        assert np.abs(frame.rgb().astype(int) - 200).max() <= 2


def test_a_huge_still_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    huge = tmp_path / "huge.png"
    for width, height in ((50_000, 50_000), (50_000, 4), (9000, 9000), (11_000, 11_000)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = chunk(b"IDAT", zlib.compress(b"\0" * 64))
        huge.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b""))
        with pytest.raises(Undecodable, match=r"huge\.png"):
            load(huge, least=800)


def test_a_broken_still_is_refused_by_name(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    Image.fromarray(NOISE).save(good)
    for content in (
        good.read_bytes()[:5000],
        b"<html>not found</html>",
        b"",
        b"GIF89a" + b"\0" * 9,
    ):
        bad.write_bytes(content)
        with pytest.raises(Undecodable, match=r"bad\.jpg"):
            load(bad, least=800)
    bad.unlink()
    with pytest.raises(FileNotFoundError):
        load(bad, least=800)


def test_stills_stand_upright_and_lose_their_palette_and_alpha(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30] = (250, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    turned = load(tmp_path / "turned.png", least=800)
    assert turned.shape == (60, 40, 3)
    assert tuple(turned[5, 20]) == (250, 0, 0)
    Image.fromarray(picture).convert("P").save(tmp_path / "palette.png")
    assert load(tmp_path / "palette.png", least=800).shape == (40, 60, 3)
    Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)).save(tmp_path / "alpha.webp")
    assert load(tmp_path / "alpha.webp", least=800).shape == (40, 60, 3)
