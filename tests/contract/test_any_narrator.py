"""What every narrator keeps to: embedded or a vendor's, over HTTP."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import Rejected
from pipeline.ports import Narrator
from pipeline.providers.narrator_local import EspeakNarrator
from tests.contract.test_narrator import TEXT, said
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.vendors import elevenlabs_narrator


@asynccontextmanager
async def espeak() -> AsyncIterator[Narrator]:
    yield EspeakNarrator()


@asynccontextmanager
async def elevenlabs(audio: str) -> AsyncIterator[Narrator]:
    with ElevenLabsServer() as server:
        async with elevenlabs_narrator(server, YTEMPIRE_ELEVENLABS_FORMAT=audio) as made:
            yield made


NARRATORS: Mapping[str, Callable[[], AbstractAsyncContextManager[Narrator]]] = {
    "espeak": espeak,
    "elevenlabs": partial(elevenlabs, "mp3_44100_128"),
    "elevenlabs-pcm": partial(elevenlabs, "pcm_24000"),
}


@pytest.fixture(params=NARRATORS)
async def narrator(request: pytest.FixtureRequest) -> AsyncIterator[Narrator]:
    async with NARRATORS[request.param]() as made:
        yield made


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (TEXT, "en"),
        ("😀 – Hello 👩‍👩‍👧 ( world ) … !", "en"),
        ("--- ... 1 !!!", "en"),
        ("<speak><mark name='x'/>[[h@'loU]] %s \\n & ; `rm`", "en"),
        ("中国很大，人口很多。", "zh"),
        ("مرحبا بالعالم 12", "ar"),
        ("¿Sabías que la Luna se aleja 3,8 centímetros?", "es"),
        ("Line\none\r\n\ttwo\u00a0three\u2003four", "en"),
        ("One\x00two \x00 three \x1b[31m \ud800 four", "en"),
    ],
)
async def test_words_are_the_texts_own_and_in_time(
    narrator: Narrator, tmp_path: Path, text: str, language: str
) -> None:
    await said(narrator, text, tmp_path, language)


@pytest.mark.parametrize("text", ["", "  ", "...", "– – –", "\x00 \ud800"])
async def test_nothing_to_say_is_rejected(narrator: Narrator, tmp_path: Path, text: str) -> None:
    with pytest.raises(Rejected, match="say") as caught:
        await narrator.speak(text, language="en", into=tmp_path / "x.wav")
    assert caught.value.charges == ()
    assert list(tmp_path.iterdir()) == []


async def test_language_that_it_lacks_is_rejected_with_the_known_ones(
    narrator: Narrator, tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match=r"'tlh'.*\bes\b"):
        await narrator.speak("nuqneH", language="tlh", into=tmp_path / "x.wav")


async def test_each_call_is_charged_by_characters(narrator: Narrator, tmp_path: Path) -> None:
    paid = await narrator.speak("Hello you", language="en", into=tmp_path / "x.wav")
    (charge,) = paid.charges
    assert (charge.operation, charge.units, charge.unit_type) == ("speech", 9, "characters")
    assert charge.rate is not None
    assert charge.amount == charge.units * charge.rate


async def test_repeat_replaces_the_file(narrator: Narrator, tmp_path: Path) -> None:
    first = await said(narrator, TEXT, tmp_path)
    assert await said(narrator, TEXT, tmp_path) == first
    assert [file.name for file in tmp_path.iterdir()] == ["speech.wav"]
