"""Films made of words and a metronome's timing, for tests of the renderer."""

from pathlib import Path

from pipeline.domain import (
    Film,
    Script,
    Section,
    SectionKind,
    SectionSpeech,
    Sentence,
    VideoFormat,
    Word,
)

MOON = (
    (SectionKind.HOOK, "A slow goodbye", "Every year the Moon slips a little further away."),
    (SectionKind.BODY, "Measured by laser", "Mirrors left in 1969 show 3.8 centimetres a year."),
    (SectionKind.OUTRO, "Look up", "Look up tonight."),
)


def make_film(
    parts: tuple[tuple[SectionKind, str, str], ...] = MOON,
    *,
    title: str = "Why the Moon is leaving",
    frame: VideoFormat | None = None,
    seconds_a_word: float = 0.3,
    seed: int = 2,
    audio: Path = Path("narration.wav"),
) -> Film:
    """Each section starts with a tenth of a second of silence and ends with one."""
    sections, speech, now = [], [], 0.0
    for kind, heading, text in parts:
        start, words = now, []
        now += 0.1
        for word in text.split():
            words.append(Word(word, now, now + seconds_a_word * 0.9))
            now += seconds_a_word
        now += 0.1
        sections.append(Section(kind, heading, (Sentence(text, 0),)))
        speech.append(SectionSpeech(start, now, tuple(words)))
    script = Script(title, "", (), "The Moon is leaving", "en", tuple(sections))
    return Film(
        script=script,
        sections=tuple(speech),
        audio=audio,
        duration=now,
        format=frame or VideoFormat(640, 360),
        channel_name="Orbit Daily",
        seed=seed,
    )
