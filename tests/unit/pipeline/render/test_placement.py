"""How footage fills its scene, as numbers."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import Film, SceneFootage, VideoFormat
from pipeline.errors import Rejected
from pipeline.render.encoder import RenderOptions
from pipeline.render.placement import OVERLAP_SECONDS, STRETCH_MOST, place
from pipeline.render.plan import plan_film
from pipeline.render.segments import segments_of
from pipeline.render.still import View, motion
from tests.unit.pipeline.render.films import make_film

OPTIONS = RenderOptions(ffmpeg=Path("/ffmpeg"), segment_seconds=1.0)


def clip(seconds: float = 4.0, sha256: str = "a" * 64) -> SceneFootage:
    return SceneFootage(Path("/media/waves.mp4"), sha256, True, seconds, 1920, 1080)


def film_with(*footage: SceneFootage | None) -> Film:
    return replace(make_film(), footage=footage)


def test_a_clip_that_is_long_enough_plays_as_it_is() -> None:
    placed = place(clip(9.0), 240, 30)
    assert (placed.stretch, placed.period, placed.frames) == (1.0, 0, 270)


def test_a_clip_just_too_short_is_slowed_to_fit() -> None:
    placed = place(clip(4.0), 132, 30)
    assert placed.stretch == pytest.approx(1.1)
    assert placed.frames == 132
    assert placed.period == 0


def test_a_short_clip_starts_over_below_a_dissolve() -> None:
    placed = place(clip(4.0), 600, 30)
    assert placed.stretch == 1.0
    assert placed.overlap == round(OVERLAP_SECONDS * 30)
    assert placed.period == 120 - placed.overlap


def test_a_very_short_clip_stands_still_at_its_end() -> None:
    placed = place(clip(1.0), 600, 30)
    assert (placed.period, placed.overlap, placed.frames) == (0, 0, 30)


@settings(deadline=None)
@given(st.floats(0.05, 120), st.integers(1, 9000), st.sampled_from([1, 24, 30, 60]))
def test_every_frame_of_a_scene_has_a_frame_of_the_clip(
    seconds: float, shown: int, fps: int
) -> None:
    if seconds * fps < 1:
        return
    placed = place(clip(seconds), shown, fps)
    assert placed.frames >= 1
    assert 1.0 <= placed.stretch <= STRETCH_MOST
    assert placed.frames <= math.ceil(seconds * fps * placed.stretch)
    if placed.period:
        assert placed.period + placed.overlap == placed.frames
        assert placed.overlap <= placed.period


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.001, math.nan, math.inf])
def test_a_clip_without_length_is_rejected_by_name(seconds: float) -> None:
    with pytest.raises(Rejected, match=r"waves\.mp4"):
        place(clip(seconds), 90, 30)


def test_footage_that_cannot_be_addressed_or_cut_is_rejected() -> None:
    with pytest.raises(Rejected, match="SHA-256"):
        place(clip(sha256=""), 90, 30)
    with pytest.raises(Rejected, match="focus"):
        place(replace(clip(), focus=(1.5, 0.5)), 90, 30)
    with pytest.raises(Rejected, match="1 pieces of footage for 3 sections"):
        plan_film(film_with(clip()))


def names(*footage: SceneFootage | None) -> list[str]:
    return [segment.name for segment in segments_of(plan_film(film_with(*footage)), OPTIONS)]


def test_segments_are_addressed_by_what_footage_holds_not_by_where_it_lies() -> None:
    first = names(None, clip(), None)
    moved = replace(clip(), path=Path("/elsewhere/other-name.mp4"))
    assert names(None, moved, None) == first
    changed = names(None, clip(sha256="b" * 64), None)
    plan = plan_film(film_with(None, clip(), None))
    for old, new, segment in zip(first, changed, segments_of(plan, OPTIONS), strict=True):
        begins = segment.first == plan.scenes[2].first  # the clip still shows below its start
        shows = plan.scenes[1].first <= segment.first < plan.scenes[1].last
        assert (old != new) == (shows or begins)


@settings(deadline=None)
@given(
    st.integers(0, 5000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.5, 60),
    st.sampled_from([VideoFormat(640, 360), VideoFormat(360, 640)]),
)
def test_a_still_is_never_left_by_its_view(
    seed: int, x: float, y: float, seconds: float, frame: VideoFormat
) -> None:
    zoom, frames = 1.1, round(seconds * 30)
    window = (frame.width, frame.height)
    for size in ((1200, 704), (704, 1200), (704, 704)):
        path = motion(size, (x, y), window, zoom, seconds, frames, seed)
        for k in (0, frames // 3, frames - 1, frames + 20):
            view: View = path.at(k)
            height = view.width * frame.height / frame.width
            assert frame.width <= view.width + 1e-6
            assert view.width / 2 <= view.x + 1e-6
            assert height / 2 <= view.y + 1e-6
            assert view.x + view.width / 2 <= size[0] + 1e-6
            assert view.y + height / 2 <= size[1] + 1e-6
