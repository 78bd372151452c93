"""An encoder that hangs is killed, and the film made once more with less effort."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import children
from pipeline.render.renderer import FilmRenderer
from tests.integration.render.test_renderer import OPTIONS, SHORT, drawers, speak
from tests.services.queue_fixtures import eventually
from tests.unit.pipeline.render.films import make_film

HANGING = """#!/bin/sh
# ffmpeg, but encoding with this preset never ends.
case "$*" in *{preset}*) exec sleep 600;; esac
exec {ffmpeg} "$@"
"""


def hanging_at(preset: str, folder: Path) -> Path:
    """An ffmpeg that hangs when it encodes with `preset`."""
    program = folder / "ffmpeg-hanging"
    program.write_text(HANGING.format(preset=preset, ffmpeg=OPTIONS.ffmpeg))
    program.chmod(0o755)
    return program


async def test_film_whose_encoder_hangs_is_made_with_less_effort(tmp_path: Path) -> None:
    film = speak(make_film(SHORT, seconds_a_word=0.2), tmp_path / "narration.wav")
    others = drawers()
    options = replace(
        OPTIONS, ffmpeg=hanging_at("veryfast", tmp_path), preset="veryfast", stall_seconds=20.0
    )
    files = await FilmRenderer(options).render(
        film, folder=tmp_path / "out", progress=lambda part: None
    )
    assert files.video.stat().st_size > 0
    await eventually(lambda: drawers() <= others)  # those that were killed are collected soon


async def test_film_that_is_too_slow_even_so_is_given_up(tmp_path: Path) -> None:
    film = speak(make_film(SHORT, seconds_a_word=0.2), tmp_path / "narration.wav")
    others = drawers()
    options = replace(OPTIONS, ffmpeg=hanging_at("ultrafast", tmp_path), segment_wall_seconds=8.0)
    with pytest.raises(children.TooSlow, match="after 8 s; killed"):
        await FilmRenderer(options).render(
            film, folder=tmp_path / "out", progress=lambda part: None
        )
    await eventually(lambda: drawers() <= others)  # those that were killed are collected soon
