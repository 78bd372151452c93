"""The narration is the sections' recordings and nothing else, to the sample."""

import itertools
import wave
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain import Paid, Script, Section, Speech
from pipeline.errors import Rejected
from pipeline.stages.voice import LEAD_IN_SECONDS, PAUSE_SECONDS, TAIL_SECONDS, Narrated, narrate
from tests.unit.pipeline.fakes import CHARGE, SCRIPT, FolderStore, ToneNarrator


async def narrated(
    folder: Path, narrator: ToneNarrator | None = None, script: Script = SCRIPT
) -> tuple[Narrated, bytes, int]:
    store = FolderStore()
    answer = await narrate(
        script, narrator=narrator or ToneNarrator(), store=store, scratch=folder, folder="runs/1"
    )
    with wave.open(str(folder / "narration.wav")) as recording:
        return answer, recording.readframes(recording.getnframes()), recording.getframerate()


async def test_every_word_is_loud_where_it_is_said_to_be_and_silent_between(
    tmp_path: Path,
) -> None:
    answer, pcm, rate = await narrated(tmp_path, ToneNarrator(rate=22050))
    words = [word for section in answer.narration.sections for word in section.words]
    loud = {
        index for word in words for index in range(round(word.start * rate), round(word.end * rate))
    }
    heard = {index for index in range(len(pcm) // 2) if pcm[2 * index + 1]}
    assert loud == heard
    assert answer.narration.duration == len(pcm) / 2 / rate


async def test_sections_cover_the_narration_without_gaps(tmp_path: Path) -> None:
    answer, _, _ = await narrated(tmp_path)
    sections = answer.narration.sections
    assert sections[0].start == 0
    assert sections[-1].end == answer.narration.duration
    assert all(a.end == b.start for a, b in itertools.pairwise(sections))
    assert all(s.start <= w.start < w.end <= s.end for s in sections for w in s.words)
    assert [tuple(w.text for w in s.words) for s in sections] == [
        tuple(section.text.split()) for section in SCRIPT.sections
    ]


async def test_pauses_are_as_long_as_promised(tmp_path: Path) -> None:
    answer, _, _ = await narrated(tmp_path)
    first, second, last = answer.narration.sections
    assert first.words[0].start == LEAD_IN_SECONDS
    # the tone narrator ends each section with a tenth of a second of silence of its own
    assert second.words[0].start - first.words[-1].end == pytest.approx(PAUSE_SECONDS + 0.1)
    assert answer.narration.duration - last.words[-1].end == pytest.approx(TAIL_SECONDS + 0.1)


async def test_each_section_is_a_charge_of_its_own_shard(tmp_path: Path) -> None:
    answer, _, _ = await narrated(tmp_path)
    assert [charge.shard for charge in answer.charges] == [0, 1, 2]
    assert answer.narration.voice == "tone"


async def test_failed_section_carries_what_the_sections_before_it_cost(tmp_path: Path) -> None:
    class Fails(ToneNarrator):
        async def speak(self, text: str, *, language: str, into: Path) -> Paid[Speech]:
            if len(self.spoken) == 2:
                raise Rejected("no such voice", charges=(CHARGE,))
            return await super().speak(text, language=language, into=into)

    with pytest.raises(Rejected) as caught:
        await narrated(tmp_path, Fails())
    assert caught.value.charges == tuple(replace(CHARGE, shard=number) for number in range(3))


async def test_narrator_that_changes_the_words_is_found_out(tmp_path: Path) -> None:
    class Creative(ToneNarrator):
        async def speak(self, text: str, *, language: str, into: Path) -> Paid[Speech]:
            return await super().speak(f"{text} Amen.", language=language, into=into)

    with pytest.raises(ValueError, match="words"):
        await narrated(tmp_path, Creative())


async def test_script_without_sections_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        await narrated(tmp_path, script=replace(SCRIPT, sections=tuple[Section, ...]()))
