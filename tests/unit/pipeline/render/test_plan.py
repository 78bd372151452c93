import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import SectionKind, VideoFormat
from pipeline.errors import Rejected
from pipeline.render.encoder import RenderOptions
from pipeline.render.plan import Plan, frame_count, plan_film
from pipeline.render.segments import segments_of
from tests.unit.pipeline.render.films import MOON, make_film

OPTIONS = RenderOptions(ffmpeg=Path("/ffmpeg"))


@settings(deadline=None)
@given(st.floats(0.01, 10_000), st.integers(1, 120))
def test_frames_cover_the_duration_and_no_more(seconds: float, fps: int) -> None:
    frames = frame_count(seconds, fps)
    assert frames >= Fraction(seconds) * fps - Fraction(1, 10**6)
    assert frames - 1 < Fraction(seconds) * fps


def test_a_rounding_error_adds_no_frame() -> None:
    assert frame_count(0.1 + 0.2, 30) == 9
    assert frame_count(2.9999999999999996, 30) == 90


@settings(deadline=None)
@given(st.floats(0.05, 0.9), st.integers(0, 50), st.sampled_from([24, 25, 30, 60]))
def test_scenes_tile_the_film_and_start_with_their_sections(
    pace: float, seed: int, fps: int
) -> None:
    film = make_film(seconds_a_word=pace, seed=seed, frame=VideoFormat(640, 360, fps))
    plan = plan_film(film)
    assert plan.look.frames == frame_count(film.duration, fps)
    assert plan.scenes[0].first == 0
    assert plan.scenes[-1].last == plan.look.frames
    for scene, following in zip(plan.scenes, plan.scenes[1:], strict=False):
        assert scene.last == following.first
    for scene, speech in zip(plan.scenes, film.sections, strict=True):
        assert abs(scene.first - speech.start * fps) <= 0.5


@settings(deadline=None)
@given(st.floats(0.05, 0.9), st.sampled_from([24, 30, 60]))
def test_each_word_is_lit_within_a_frame_of_its_onset(pace: float, fps: int) -> None:
    film = make_film(seconds_a_word=pace, frame=VideoFormat(640, 360, fps))
    plan = plan_film(film)
    spoken = [word for section in film.sections for word in section.words]
    lit = [word for scene in plan.scenes for cue in scene.cues for word in cue.words]
    assert [word.text for word in lit] == [word.text for word in spoken]
    for word, light in zip(spoken, lit, strict=True):
        assert abs(light.first - word.start * fps) <= 1
        assert light.first < light.last


def test_no_two_cues_are_on_screen_at_once() -> None:
    plan = plan_film(make_film(seconds_a_word=0.11))
    cues = [cue for scene in plan.scenes for cue in scene.cues]
    assert all(a.last <= b.first for a, b in itertools.pairwise(cues))


def test_the_same_film_has_the_same_plan_and_another_seed_another_look() -> None:
    assert plan_film(make_film(seed=1)) == plan_film(make_film(seed=1))
    looks = {plan_film(make_film(seed=seed)).look.palette for seed in range(30)}
    assert len(looks) >= 5


def test_plan_survives_its_json() -> None:
    plan = plan_film(make_film())
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_word_without_spaces_is_shown_in_pieces() -> None:
    text = "アポロ11号が1969年に残した鏡に向けたレーザー光が月までの距離を正確に示しています。"
    film = make_film(((SectionKind.BODY, "月", text),), seconds_a_word=4.0)
    cues = plan_film(film).scenes[0].cues
    assert len(cues) > 2
    assert "".join(word.text for cue in cues for word in cue.words) == text


def test_spoken_numbers_become_figures() -> None:
    figures = plan_film(make_film()).scenes[1].figures
    assert [figure.text for figure in figures] == ["1969", "3.8"]
    assert figures[0].last <= figures[1].first


def test_segments_tile_the_film_within_its_scenes() -> None:
    plan = plan_film(make_film(seconds_a_word=1.7))
    segments = segments_of(plan, OPTIONS)
    assert segments[0].first == 0
    assert segments[-1].last == plan.look.frames
    assert all(a.last == b.first for a, b in itertools.pairwise(segments))
    assert {scene.first for scene in plan.scenes} <= {segment.first for segment in segments}
    assert max(segment.frames for segment in segments) <= 151


def test_changing_a_word_changes_the_segments_that_show_it_only() -> None:
    changed = (*MOON[:2], (SectionKind.OUTRO, "Look up", "Look down tonight."))
    before = segments_of(plan_film(make_film()), OPTIONS)
    after = segments_of(plan_film(make_film(changed)), OPTIONS)
    same = [a.name == b.name for a, b in zip(before, after, strict=True)]
    assert same == [True] * (len(same) - 1) + [False]


def test_encoding_otherwise_changes_every_segment() -> None:
    plan = plan_film(make_film())
    other = dataclasses.replace(OPTIONS, crf=23)
    names = {s.name for s in segments_of(plan, OPTIONS)}
    assert names.isdisjoint(s.name for s in segments_of(plan, other))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": VideoFormat(641, 360)}, "must be even"),
        ({"format": VideoFormat(16, 16)}, "between"),
        ({"format": VideoFormat(640, 360, 0)}, "frames a second"),
        ({"duration": 0.0}, "lasts up to"),
        ({"duration": float("nan")}, "lasts up to"),
        ({"sections": ()}, "narrate the script again"),
    ],
)
def test_a_film_that_cannot_be_drawn_is_rejected(change: dict[str, object], says: str) -> None:
    with pytest.raises(Rejected, match=says):
        plan_film(dataclasses.replace(make_film(), **change))


def test_a_script_without_a_typeface_is_rejected_by_name() -> None:
    film = make_film(((SectionKind.BODY, "x", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ"),), title="ᏣᎳᎩ")
    with pytest.raises(Rejected, match="No typeface"):
        plan_film(film)
