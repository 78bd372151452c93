"""The third stage: speak the script, section by section, and join it into one narration.

Everything is counted in samples, so that a word's time in the narration is exactly its time in the
section plus the samples before that section.
"""

import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.domain import (
    ArtifactKind,
    Charge,
    Narration,
    Script,
    Section,
    SectionSpeech,
    Speech,
    Word,
)
from pipeline.errors import Rejected, StageError
from pipeline.ports import ArtifactStore, Narrator

LEAD_IN_SECONDS = 0.4
PAUSE_SECONDS = 0.35
TAIL_SECONDS = 0.8
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Narrated:
    """The stored narration and what each call for it cost, in the order of the script."""

    narration: Narration
    charges: tuple[Charge, ...]


@dataclass(frozen=True, slots=True)
class _Take:
    """One section as spoken: its samples and its words, timed within it."""

    pcm: bytes
    rate: int
    words: tuple[Word, ...]

    @property
    def samples(self) -> int:
        return len(self.pcm) // SAMPLE_BYTES


async def narrate(
    script: Script, *, narrator: Narrator, store: ArtifactStore, scratch: Path, folder: str
) -> Narrated:
    """Speak each section and store the whole. A charge's shard is the number of its call.

    When a section fails, its error carries what the sections before it were charged as well.
    Works in `scratch`, which must exist; the narration is stored below `folder` of the store.
    """
    takes: list[_Take] = []
    charges: list[Charge] = []
    for index, section in enumerate(script.sections):
        try:
            paid = await narrator.speak(
                section.text, language=script.language, into=scratch / f"section-{index:03d}.wav"
            )
        except StageError as error:
            error.charges = _numbered([*charges, *error.charges])
            raise
        takes.append(_take(paid.value, section))
        charges.extend(paid.charges)
    if not takes:
        raise Rejected("the script has no sections to narrate")
    audio = scratch / "narration.wav"
    duration, sections = _join(takes, audio)
    artifact = await store.put(
        audio, folder=folder, kind=ArtifactKind.NARRATION, media_type="audio/wav"
    )
    return Narrated(Narration(artifact, narrator.voice, duration, sections), _numbered(charges))


def _numbered(charges: Sequence[Charge]) -> tuple[Charge, ...]:
    """The calls counted through the whole script: their number is the same at every repeat."""
    return tuple(replace(charge, shard=number) for number, charge in enumerate(charges))


def _take(speech: Speech, section: Section) -> _Take:
    """Read a section's recording; a narrator that breaks its contract is a bug, named here."""
    if [word.text for word in speech.words] != section.text.split():
        raise ValueError(f"the narrator's words are not those of {section.text!r}")
    with wave.open(str(speech.audio), "rb") as recording:
        shape = (recording.getnchannels(), recording.getsampwidth())
        if shape != (1, SAMPLE_BYTES):
            raise ValueError(f"{speech.audio}: mono 16-bit PCM was promised, this is {shape}")
        return _Take(
            recording.readframes(recording.getnframes()), recording.getframerate(), speech.words
        )


def _join(takes: Sequence[_Take], into: Path) -> tuple[float, tuple[SectionSpeech, ...]]:
    """Write the takes with their pauses; the duration, and the sections on one time line.

    A section is on screen from the middle of the pause before it to the middle of the one after.
    """
    rate = takes[0].rate
    if {take.rate for take in takes} != {rate}:
        raise ValueError(f"the recordings differ in sample rate: {[t.rate for t in takes]}")
    pause = round(PAUSE_SECONDS * rate)
    position = round(LEAD_IN_SECONDS * rate)
    starts: list[int] = []
    with wave.open(str(into), "wb") as narration:
        narration.setnchannels(1)
        narration.setsampwidth(SAMPLE_BYTES)
        narration.setframerate(rate)
        narration.writeframes(bytes(position * SAMPLE_BYTES))
        for index, take in enumerate(takes):
            starts.append(position)
            narration.writeframes(take.pcm)
            last = index == len(takes) - 1
            silence = round(TAIL_SECONDS * rate) if last else pause
            narration.writeframes(bytes(silence * SAMPLE_BYTES))
            position += take.samples + silence
    cuts = [0, *(start - pause // 2 for start in starts[1:]), position]
    sections = tuple(
        SectionSpeech(cuts[i] / rate, cuts[i + 1] / rate, _shifted(take.words, starts[i], rate))
        for i, take in enumerate(takes)
    )
    return position / rate, sections


def _shifted(words: Sequence[Word], samples: int, rate: int) -> tuple[Word, ...]:
    offset = samples / rate
    return tuple(Word(word.text, word.start + offset, word.end + offset) for word in words)
