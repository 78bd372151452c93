"""What can be said about pictures without comparing them to stored ones."""

import itertools

import cv2
import numpy as np
import pytest

from pipeline.domain import SectionKind, VideoFormat
from pipeline.render.background import backdrop, sample
from pipeline.render.caption_art import CaptionArtist
from pipeline.render.layout import layout_for
from pipeline.render.palette import PALETTES, Palette, Rgb
from pipeline.render.plan import MOTIFS, Plan, plan_film
from pipeline.render.planes import Canvas, Frame, rounded_box, yuv_of
from pipeline.render.scene import FilmArtist
from pipeline.render.thumbnail import HEIGHT, WIDTH, thumbnail_frame
from tests.unit.pipeline.render.films import make_film

FORMATS = [VideoFormat(640, 360), VideoFormat(360, 640)]


def contrast(a: Rgb, b: Rgb) -> float:
    """The WCAG contrast ratio."""

    def luminance(colour: Rgb) -> float:
        linear = [
            c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
def test_type_is_legible_in_every_palette(palette: Palette) -> None:
    assert contrast(palette.on_accent, palette.accent) >= 4.5
    assert contrast(palette.box_text, palette.box) >= 4.5
    for ground in palette.grounds:
        for colour in (ground.start, ground.end, ground.second_glow):
            assert contrast(palette.text, colour) >= 4.5
        assert contrast(palette.text, ground.glow) >= 3.0  # large type


def test_a_frame_is_a_pure_function_of_plan_and_number() -> None:
    plan = plan_film(make_film())
    once, again = Frame(640, 360), Frame(640, 360)
    FilmArtist(plan).draw(once, 100)
    other = FilmArtist(Plan.model_validate_json(plan.model_dump_json()))
    for n in (5, 130, 100):
        other.draw(again, n)
    assert np.array_equal(once.buffer, again.buffer)


def test_neighbouring_frames_differ_little_and_are_never_equal() -> None:
    plan = plan_film(make_film())
    artist, frames = FilmArtist(plan), []
    for n in range(30, 50):
        frame = Frame(640, 360)
        artist.draw(frame, n)
        frames.append(frame.y.astype(np.int16))
    changes = [float(np.abs(a - b).mean()) for a, b in itertools.pairwise(frames)]
    assert min(changes) > 0
    assert max(changes) < 6


@pytest.mark.parametrize("frame_format", FORMATS, ids=str)
@pytest.mark.parametrize("title", ["Short", "A title that goes on " * 18, "عنوان طويل جدا " * 9])
def test_type_stays_inside_the_safe_area(frame_format: VideoFormat, title: str) -> None:
    film = make_film(title=title[:400], frame=frame_format)
    artist = FilmArtist(plan_film(film))
    scene = artist._scene(0)
    safe = artist._layout.safe
    assert scene._heading is not None
    box = scene._heading.box
    assert safe.left <= box.left <= box.right <= safe.right
    assert safe.top <= box.top <= box.bottom <= safe.bottom
    assert artist._mark.y >= safe.top - 8
    # What stands above the title stays clear of the channel's mark.
    above = scene._kicker[0] if scene._kicker else None
    if above is not None:
        assert above.y >= artist._mark.y + artist._mark.height - 8


@pytest.mark.parametrize("frame_format", FORMATS, ids=str)
def test_captions_stay_inside_the_safe_area(frame_format: VideoFormat) -> None:
    text = "Incomprehensibilities counterrevolutionaries electroencephalographically spoken 日本語"
    film = make_film(((SectionKind.BODY, "Words", text),), frame=frame_format)
    plan = plan_film(film)
    layout = layout_for(frame_format.width, frame_format.height)
    artist = CaptionArtist(layout, PALETTES[0])
    for cue in plan.scenes[0].cues:
        for active in range(len(cue.words)):
            sprite = artist.sprite(cue, active)
            assert sprite.x >= layout.safe.left - 8
            assert sprite.x + sprite.width <= layout.safe.right + 8
            assert sprite.y + sprite.height <= layout.safe.bottom + 8


def test_the_spoken_word_is_lit_and_no_other() -> None:
    plan = plan_film(make_film())
    artist = FilmArtist(plan)
    cue = plan.scenes[0].cues[0]
    palette = artist._palette
    accent = yuv_of(palette.accent)
    block = artist._captions.set(tuple(word.text for word in cue.words))
    frame = Frame(640, 360)
    seen = []
    for word in cue.words:
        artist.draw(frame, max(word.first, cue.first + 6))
        sprite = artist._captions.sprite(cue, None)
        rows = slice(sprite.y // 2, (sprite.y + sprite.height) // 2)
        columns = slice(sprite.x // 2, (sprite.x + sprite.width) // 2)
        near = (np.abs(frame.u[rows, columns].astype(int) - accent[1]) < 14) & (
            np.abs(frame.v[rows, columns].astype(int) - accent[2]) < 14
        )
        seen.append(float(np.nonzero(near)[1].mean()))
    boxes = {box.word: (box.left + box.right) / 2 for box in block.lines[0].boxes}
    left = (sprite.width - block.width) / 2
    for index, place in enumerate(seen):
        assert abs(place * 2 - (boxes[index] + left)) < 12


def test_the_ground_has_no_bands() -> None:
    """In a band thousands of neighbours share one value; grain leaves no such plain areas."""
    layout = layout_for(1280, 720)
    frame = Frame(1280, 720)
    for palette in PALETTES:
        drop = backdrop(layout, palette.grounds[0], 5)
        drop.draw(frame, 40, 30)
        flat = cv2.erode(
            (cv2.morphologyEx(frame.y, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) == 0).astype(
                np.uint8
            ),
            np.ones((3, 3), np.uint8),
        )
        assert flat.mean() < 0.002
        smooth = cv2.GaussianBlur(frame.y.astype(np.float32), (0, 0), 6)
        steps = np.abs(np.diff(smooth, axis=1))
        assert steps.max() < 0.6  # a step of one level, blurred, would be no sharper than the rest


def test_motion_is_free_of_jitter() -> None:
    """The measured place of a drifting grating accelerates by under 0.05 px/frame^2 (RMS)."""
    drift = backdrop(layout_for(1920, 1080), PALETTES[0].grounds[0], 9).drift
    wave = 2 * np.pi / 40
    xs, ys = np.arange(560)[None, :], np.arange(460)[:, None]
    grating = (127 + 60 * np.cos(wave * xs) + 60 * np.cos(wave * ys)).astype(np.uint8)
    target, places = np.empty((300, 400), np.uint8), []
    window = np.hanning(300)[:, None] * np.hanning(400)[None, :]
    for n in range(200):
        dx, dy = drift.at(n, 30)
        sample(grating, target, 80 + dx, 80 + dy)
        seen = target * window
        places.append(
            [
                np.angle((seen * np.exp(-1j * wave * xs[:, :400])).sum()),
                np.angle((seen * np.exp(-1j * wave * ys[:300])).sum()),
            ]
        )
    measured = np.unwrap(np.array(places), axis=0) / wave
    planned = np.array([drift.at(n, 30) for n in range(200)])
    assert np.ptp(planned) > 10
    assert np.abs((measured - measured[0]) - (planned - planned[0])).max() < 0.1
    acceleration = np.diff(measured, n=2, axis=0)
    assert float(np.sqrt((acceleration**2).sum(axis=1).mean())) < 0.05


@pytest.mark.parametrize("name", MOTIFS)
def test_every_motif_is_drawn_inside_its_border(name: str) -> None:
    from pipeline.render.blend import BORDER
    from pipeline.render.motif import motif

    sprite = motif(name, 200, (320, 180), (200, 200, 200), (255, 90, 40), 3)
    keep = sprite.keep_luma.copy()
    assert keep.min() < 100
    keep[BORDER:-BORDER, BORDER:-BORDER] = 255
    assert keep.min() == 255


def test_progress_grows_with_the_film() -> None:
    plan = plan_film(make_film())
    artist, frame = FilmArtist(plan), Frame(640, 360)
    luma = yuv_of(artist._palette.accent)[0]
    lengths = []
    for n in (0, plan.look.frames // 2, plan.look.frames - 15):
        artist.draw(frame, n)
        lengths.append(int((np.abs(frame.y[-1].astype(int) - luma) <= 2).sum()))
    assert lengths[0] < 12
    assert abs(lengths[1] - 320) < 12
    assert lengths[2] > 590


def test_colours_survive_the_planes() -> None:
    canvas = Canvas(64, 64)
    canvas.paint(rounded_box(64, 64, 1), 0, 0, (255, 138, 107))
    from pipeline.render.blend import lay

    frame = Frame(64, 64)
    frame.buffer[:] = 16
    lay(frame, canvas.sprite(0, 0))
    assert np.abs(frame.rgb()[32, 32].astype(int) - (255, 138, 107)).max() <= 3


@pytest.mark.parametrize("text", ["The Moon is leaving", "Pizza 🍕?", "القمر يرحل", "x" * 300])
def test_thumbnail_has_large_type(text: str) -> None:
    frame = thumbnail_frame(plan_film(make_film()), text)
    assert (frame.width, frame.height) == (WIDTH, HEIGHT) == (1280, 720)
    assert frame.rgb().std() > 30
