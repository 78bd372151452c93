"""What every narrator keeps to: exactly the text's words, in order, within the sound."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain import Speech
from pipeline.errors import Rejected, Transient
from pipeline.ports import Narrator
from pipeline.providers import narrator_local
from pipeline.providers.narrator_local import VOICES, EspeakNarrator, EspeakOptions

TEXT = (
    "In 1969, three people flew to the Moon – a well-known story! It took 3.5 days, of course,"
    " and 2,000,000 parts had to work."
)

SPEAK_FOR_EVER = """
import asyncio, pathlib, sys
from pipeline.providers.narrator_local import EspeakNarrator

async def go():
    while True:
        into = pathlib.Path(sys.argv[1]) / "x.wav"
        await EspeakNarrator().speak("word " * 3900, language="en", into=into)

asyncio.run(go())
"""


@pytest.fixture(params=[EspeakNarrator], ids=["espeak"])
def narrator(request: pytest.FixtureRequest) -> Narrator:
    make: Callable[[], Narrator] = request.param
    return make()


def sound(file: Path) -> tuple[npt.NDArray[np.int16], int]:
    with wave.open(str(file)) as recording:
        assert (recording.getnchannels(), recording.getsampwidth()) == (1, 2)
        frames = recording.readframes(recording.getnframes())
        return np.frombuffer(frames, dtype=np.int16), recording.getframerate()


def check(speech: Speech, text: str) -> None:
    samples, rate = sound(speech.audio)
    assert speech.duration == pytest.approx(len(samples) / rate, abs=1 / rate)
    assert [word.text for word in speech.words] == text.split()
    assert all(0 <= word.start <= word.end <= speech.duration for word in speech.words)
    assert all(one.end <= other.start for one, other in itertools.pairwise(speech.words))


async def said(narrator: Narrator, text: str, into: Path, language: str = "en") -> Speech:
    speech = (await narrator.speak(text, language=language, into=into / "speech.wav")).value
    check(speech, text)
    return speech


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (TEXT, "en"),
        ("Visit https://www.example.com/a?b=1&c=%20 now", "en"),
        ("😀 – Hello 👩‍👩‍👧 ( world ) … !", "en"),
        ("--- ... 1 !!!", "en"),
        ("don't won't 'quoted' \"double\" rock'n'roll state-of-the-art", "en"),
        ("<speak><mark name='x'/>[[h@'loU]] %s \\n & ; `rm`", "en"),
        ("中国很大，人口很多。", "zh"),
        ("مرحبا بالعالم 12", "ar"),
        ("¿Sabías que la Luna se aleja 3,8 centímetros?", "es"),
        ("مرحبا 你好 שלום", "en"),
        ("Line\none\r\n\ttwo\u00a0three\u2003four", "en"),
        ("x" * 300, "en"),
        ("One\x00two \x00 three \x1b[31m \ud800 four", "en"),
    ],
)
async def test_words_are_the_texts_own_and_in_time(
    narrator: Narrator, tmp_path: Path, text: str, language: str
) -> None:
    await said(narrator, text, tmp_path, language)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(st.one_of(st.sampled_from("ab1 .–😀'"), st.characters(codec=None)), max_size=60)
)
async def test_any_text_is_spoken_or_rejected(tmp_path: Path, text: str) -> None:
    try:
        await said(EspeakNarrator(), text, tmp_path)
    except Rejected:
        assert not any(character.isascii() and character.isalnum() for character in text)


async def test_each_word_is_heard_in_its_own_time(narrator: Narrator, tmp_path: Path) -> None:
    """Spoken alone between pauses, every word is loud within its span and quiet around it."""
    text = "Apple. Mountain. Seventeen. Telescope."
    speech = await said(narrator, text, tmp_path)
    samples, rate = sound(speech.audio)
    loud = np.abs(samples.astype(np.int32)) > 300
    covered = np.zeros(len(samples), dtype=bool)
    for word in speech.words:
        span = loud[round(word.start * rate) : round(word.end * rate)]
        assert span.mean() > 0.2
        covered[round(word.start * rate) : round(word.end * rate)] = True
    assert not loud[~covered].any()


async def test_no_clipping_and_no_silence_around(narrator: Narrator, tmp_path: Path) -> None:
    samples, rate = sound((await said(narrator, TEXT, tmp_path)).audio)
    loudness = np.abs(samples.astype(np.int32))
    assert 6_000 < loudness.max() < 32_700
    heard = np.flatnonzero(loudness > 300)
    assert heard[0] < 0.1 * rate
    assert len(samples) - heard[-1] < 0.1 * rate


async def test_a_repeat_sounds_the_same(narrator: Narrator, tmp_path: Path) -> None:
    first = await said(narrator, TEXT, tmp_path)
    before = first.audio.read_bytes()
    again = await said(narrator, TEXT, tmp_path)
    assert again == first
    assert again.audio.read_bytes() == before


async def test_many_at_once_do_not_disturb_each_other(narrator: Narrator, tmp_path: Path) -> None:
    texts = [f"This is number {number}, and nothing else." for number in range(6)]
    folders = [tmp_path / str(number) for number in range(6)]
    for folder in folders:
        folder.mkdir()
    together = await asyncio.gather(
        *(said(narrator, text, folder) for text, folder in zip(texts, folders, strict=True))
    )
    for text, speech in zip(texts, together, strict=True):
        alone = await said(narrator, text, tmp_path)
        assert alone.audio.read_bytes() == speech.audio.read_bytes()


@pytest.mark.parametrize("text", ["", "  ", "😀", "...", "– – –"])
async def test_nothing_to_say_is_rejected(narrator: Narrator, tmp_path: Path, text: str) -> None:
    with pytest.raises(Rejected, match="say"):
        await narrator.speak(text, language="en", into=tmp_path / "x.wav")
    assert list(tmp_path.iterdir()) == []


async def test_unknown_language_is_rejected_with_the_known_ones(
    narrator: Narrator, tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match=r"'tlh'.*\bes\b"):
        await narrator.speak("nuqneH", language="tlh", into=tmp_path / "x.wav")


@pytest.mark.parametrize("language", VOICES)
async def test_each_language_offered_has_its_voice(tmp_path: Path, language: str) -> None:
    await said(EspeakNarrator(), "Apollo 11", tmp_path, language)


async def test_espeak_charges_characters_and_no_money(tmp_path: Path) -> None:
    paid = await EspeakNarrator().speak("Hello you", language="en", into=tmp_path / "x.wav")
    (charge,) = paid.charges
    assert (charge.service, charge.operation, charge.amount) == ("espeak-ng", "speech", 0)
    assert (charge.units, charge.unit_type) == (9, "characters")


async def test_variant_changes_the_voice_and_its_name(tmp_path: Path) -> None:
    other = EspeakNarrator(EspeakOptions(variant="Annie"))
    plain = (await said(EspeakNarrator(), "Hello", tmp_path)).audio.read_bytes()
    assert (await said(other, "Hello", tmp_path)).audio.read_bytes() != plain
    assert (EspeakNarrator().voice, other.voice) == ("espeak-ng", "espeak-ng+Annie")
    with pytest.raises(ValueError, match="Annie"):
        EspeakNarrator(EspeakOptions(variant="Nobody"))
    with pytest.raises(ValueError, match="variant"):
        EspeakNarrator(EspeakOptions(variant="../../x"))


async def test_text_never_reaches_the_command_line_and_a_file_is_left_alone(tmp_path: Path) -> None:
    """The child takes its text from stdin and finds nothing to import in the current folder."""
    (tmp_path / "ctypes.py").write_text("raise SystemExit('imported from the current folder')")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        await said(EspeakNarrator(), "--help ; -c 'x' $(id)", tmp_path)
    finally:
        os.chdir(before)


async def test_speech_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrator_local, "WALL_TIMEOUT_SECONDS", 0.001)
    others = set(psutil.Process().children())
    with pytest.raises(Transient, match="not done after 0 s; killed"):
        await EspeakNarrator().speak("word " * 3000, language="en", into=tmp_path / "x.wav")
    assert not set(psutil.Process().children()) - others
    assert list(tmp_path.iterdir()) == []


async def test_cancelled_speech_leaves_no_process(tmp_path: Path) -> None:
    others = set(psutil.Process().children())
    speaking = asyncio.create_task(
        EspeakNarrator().speak("word " * 3500, language="en", into=tmp_path / "x.wav")
    )
    while not set(psutil.Process().children()) - others:
        await asyncio.sleep(0.005)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert not set(psutil.Process().children()) - others


def test_speech_dies_with_its_worker(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", SPEAK_FOR_EVER, str(tmp_path)])
    children: list[psutil.Process] = []
    while not children:
        time.sleep(0.01)
        children = psutil.Process(worker.pid).children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert gone
    assert not alive
