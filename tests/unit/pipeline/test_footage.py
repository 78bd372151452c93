"""What is searched for, for which scene; that nothing is shown twice."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain import (
    ArtifactKind,
    FootageCredit,
    Narration,
    SceneFootage,
    Script,
    Section,
    SectionKind,
    SectionSpeech,
    Sentence,
    VideoFormat,
)
from pipeline.errors import Deferred
from pipeline.footage import FootageWish, FoundFootage
from pipeline.stages.footage import gather_footage
from tests.unit.pipeline.fakes import NOW, SCRIPT, artifact

WIDE = VideoFormat(640, 360)


class Library:
    """Has two assets for every query that holds one of its words."""

    def __init__(self, *words: str) -> None:
        self.words = set(words)
        self.wishes: list[FootageWish] = []

    async def find(self, wish: FootageWish, *, used: Collection[str]) -> FoundFootage | None:
        self.wishes.append(wish)
        for query in wish.queries:
            for word in sorted(self.words & set(query.split())):
                for number in (1, 2):
                    credit = FootageCredit("lib", f"{word}-{number}", None, "Jo", None, NOW)
                    if credit.key not in used:
                        scene = SceneFootage(Path(word), "0" * 64, True, 9.0, 640, 360)
                        return FoundFootage(scene, credit)
        return None


def narrated(script: Script, seconds: float = 3.0) -> Narration:
    sections = tuple(
        SectionSpeech(n * seconds, (n + 1) * seconds, ()) for n in range(len(script.sections))
    )
    audio = artifact(ArtifactKind.NARRATION, "n")
    return Narration(audio, "voice", seconds * len(sections), sections)


async def gathered(library: Library, script: Script = SCRIPT, *used: str) -> list[str | None]:
    found = await gather_footage(script, narrated(script), footage=library, format=WIDE, used=used)
    assert len(found.scenes) == len(script.sections)
    shown = iter(found.credits)
    return [next(shown).asset_id if scene else None for scene in found.scenes]


async def test_each_scene_is_searched_by_its_heading_first_and_then_by_the_subject() -> None:
    library = Library()
    assert await gathered(library) == [None, None, None]
    assert [wish.queries for wish in library.wishes] == [
        ("moon",),
        ("drifting moon", "moon"),
        ("moon",),
    ]


async def test_words_that_show_nothing_are_not_searched_for() -> None:
    section = Section(SectionKind.BODY, "And why the 3 \u201cHearts\u201d?", (Sentence("x"),))
    library = Library()
    await gathered(library, replace(SCRIPT, sections=(section,), tags=("The Octopus",)))
    assert library.wishes[0].queries == ("hearts octopus", "octopus")


async def test_scene_without_a_word_to_search_for_has_none() -> None:
    script = replace(SCRIPT, title="42", tags=())
    library = Library("moon")
    assert (await gathered(library, script))[0] is None


async def test_nothing_is_shown_twice() -> None:
    assert await gathered(Library("moon")) == ["moon-1", "moon-2", None]
    assert await gathered(Library("moon"), SCRIPT, "lib:moon-1") == ["moon-2", None, None]
    assert await gathered(Library("moon", "drifting")) == ["moon-1", "drifting-1", "moon-2"]


@pytest.mark.parametrize(("seconds", "wanted"), [(3.0, 3.0), (40.0, 6.0)])
async def test_clip_is_wanted_for_the_scenes_length_within_reason(
    seconds: float, wanted: float
) -> None:
    library = Library()
    await gather_footage(SCRIPT, narrated(SCRIPT, seconds), footage=library, format=WIDE, used=())
    assert {wish.min_seconds for wish in library.wishes} == {wanted}
    assert {(wish.width, wish.height, wish.vertical) for wish in library.wishes} == {
        (640, 360, False)
    }


async def test_provider_that_asks_for_rest_is_heard() -> None:
    class Resting:
        async def find(self, wish: FootageWish, *, used: Collection[str]) -> FoundFootage | None:
            raise Deferred("rest", until=NOW)

    with pytest.raises(Deferred):
        await gather_footage(SCRIPT, narrated(SCRIPT), footage=Resting(), format=WIDE, used=())
