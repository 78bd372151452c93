import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.domain import (
    Artifact,
    ArtifactKind,
    Channel,
    Film,
    FootageCredit,
    Narration,
    RenderedFiles,
    SceneFootage,
    VideoFormat,
)
from pipeline.errors import Rejected
from pipeline.ports import Progress
from pipeline.stages.footage import Gathered
from pipeline.stages.render import assemble
from tests.unit.pipeline.render.films import make_film

CHANNEL = Channel(UUID(int=1), "Orbit Daily", None, format=VideoFormat(1080, 1920))


class Shelf:
    """An artifact store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(
        self, file: Path, *, folder: str, kind: ArtifactKind, media_type: str
    ) -> Artifact:
        content = file.read_bytes()
        url = f"{folder}/{kind}-{file.name}"
        self.kept[url] = content
        return Artifact(kind, hashlib.sha256(content).hexdigest(), len(content), media_type, url)

    async def fetch(self, artifact: Artifact, *, folder: Path) -> Path:
        file = folder / "narration.wav"
        file.write_bytes(self.kept[artifact.url])
        return file


class Painter:
    """A renderer that writes down what it was asked for."""

    def __init__(self) -> None:
        self.film: Film | None = None

    async def render(self, film: Film, *, folder: Path, progress: Progress) -> RenderedFiles:
        self.film = film
        assert film.audio.read_bytes() == b"RIFF"
        progress(1.0)
        files = [folder / name for name in ("v.mp4", "t.jpg", "c.srt", "c.vtt")]
        for file in files:
            file.write_text(file.name)
        return RenderedFiles(*files, duration=4.5)


def narration(shelf: Shelf) -> Narration:
    film = make_film()
    shelf.kept["runs/1/narration"] = b"RIFF"
    audio = Artifact(ArtifactKind.NARRATION, "ab", 4, "audio/wav", "runs/1/narration")
    return Narration(audio, "en", film.duration, film.sections)


async def test_film_is_made_of_script_narration_and_channel(tmp_path: Path) -> None:
    shelf, painter, reports = Shelf(), Painter(), []
    spoken = narration(shelf)
    cut = await assemble(
        make_film().script,
        spoken,
        channel=CHANNEL,
        renderer=painter,
        store=shelf,
        scratch=tmp_path,
        folder="runs/1",
        seed=7,
        progress=reports.append,
    )
    assert painter.film is not None
    assert (painter.film.channel_name, painter.film.seed) == ("Orbit Daily", 7)
    assert painter.film.format == cut.format == VideoFormat(1080, 1920)
    assert painter.film.sections == spoken.sections
    assert (cut.duration, reports) == (4.5, [1.0])
    assert shelf.kept[cut.video.url] == b"v.mp4"
    assert [a.media_type for a in (cut.video, cut.thumbnail, cut.srt, cut.vtt)] == [
        "video/mp4",
        "image/jpeg",
        "application/x-subrip",
        "text/vtt",
    ]


async def test_footage_goes_into_the_film_and_its_origins_stay_with_the_cut(
    tmp_path: Path,
) -> None:
    shelf, painter = Shelf(), Painter()
    scene = SceneFootage(tmp_path / "clip.mp4", "ab", True, 9.0, 640, 360)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    origin = FootageCredit("pexels", "video-7", None, "Jo", None, at)
    spoken = narration(shelf)
    scenes = (scene, *[None] * (len(spoken.sections) - 1))
    cut = await assemble(
        make_film().script,
        spoken,
        channel=CHANNEL,
        renderer=painter,
        store=shelf,
        scratch=tmp_path,
        folder="runs/1",
        seed=7,
        footage=Gathered(scenes, (origin,)),
        progress=lambda part: None,
    )
    assert painter.film is not None
    assert painter.film.footage == scenes
    assert cut.credits == (origin,)


async def test_narration_of_another_script_is_rejected(tmp_path: Path) -> None:
    shelf = Shelf()
    spoken = narration(shelf)
    with pytest.raises(Rejected, match="run the voice stage again"):
        await assemble(
            make_film().script,
            replace(spoken, sections=spoken.sections[:-1]),
            channel=CHANNEL,
            renderer=Painter(),
            store=shelf,
            scratch=tmp_path,
            folder="runs/1",
            seed=7,
            progress=lambda part: None,
        )
