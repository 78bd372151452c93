"""Speech without a vendor: eSpeak NG, one process a text, its words timed to the sample."""

import asyncio
import json
import re
import sys
import tempfile
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import espeakng_loader
import numpy as np

from pipeline import children
from pipeline.domain import Charge, Paid, Speech
from pipeline.errors import Rejected
from pipeline.providers.word_timing import Report, Samples, audible_span, time_words

CHARACTERS = 20_000
WALL_TIMEOUT_SECONDS = 90.0
# Silence kept around the speech, so that the first and last sounds do not click.
MARGIN_SECONDS = 0.03
FADE_SECONDS = 0.004

# Languages whose eSpeak NG voice reads ordinary text; the key is the tag in lower case.
VOICES: Mapping[str, str] = MappingProxyType(
    {
        "en": "en-us", "en-us": "en-us", "en-gb": "en",
        "es": "es", "es-419": "es-419", "es-mx": "es-419",
        "pt": "pt", "pt-br": "pt-br", "fr": "fr", "de": "de", "it": "it", "nl": "nl",
        "da": "da", "sv": "sv", "nb": "nb", "no": "nb", "fi": "fi", "pl": "pl", "cs": "cs",
        "sk": "sk", "hu": "hu", "ro": "ro", "el": "el", "tr": "tr", "ru": "ru", "uk": "uk",
        "id": "id", "hi": "hi", "ar": "ar", "zh": "cmn", "vi": "vi", "ca": "ca", "eo": "eo",
    }
)  # fmt: skip

_LIMITS = children.Limits(address_space_bytes=2**30, cpu_seconds=60, file_bytes=512 * 2**20)
_CHILD = Path(__file__).with_name("espeak_child.py")
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,39}")
# Replaced by as many spaces: the engine would spell out pictures and the scheme of an address, end
# at a NUL, and cannot be given half a surrogate pair.
_UNSPOKEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|"
    "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f]"
    "\u200d?|https?://(?:www\\.)?"
)


@dataclass(frozen=True, slots=True)
class EspeakOptions:
    """How it sounds: words a minute, pitch and its range 0..99, a pause between words in 10 ms.

    `variant` is one of eSpeak NG's timbres (`f3`, `Annie`, ...), None the voice's own.
    """

    variant: str | None = None
    words_per_minute: int = 165
    pitch: int = 42
    pitch_range: int = 62
    word_gap: int = 1
    volume: int = 75


class EspeakNarrator:
    """A narrator over eSpeak NG: deterministic, offline, free of charge."""

    def __init__(self, options: EspeakOptions | None = None) -> None:
        self._options = options or EspeakOptions()
        variant = self._options.variant
        if variant is not None and not _VARIANT.fullmatch(variant):
            raise ValueError(f"not the name of an eSpeak NG variant: {variant!r}")
        self._library = Path(espeakng_loader.get_library_path())
        self._data = Path(espeakng_loader.get_data_path())
        if variant is not None and not (self._data / "voices" / "!v" / variant).is_file():
            known = sorted(p.name for p in (self._data / "voices" / "!v").iterdir())
            raise ValueError(f"eSpeak NG has no variant {variant!r}; it has {', '.join(known)}")

    @property
    def voice(self) -> str:
        """`espeak-ng`, with the variant after a plus sign."""
        variant = self._options.variant
        return f"espeak-ng+{variant}" if variant else "espeak-ng"

    async def speak(self, text: str, *, language: str, into: Path) -> Paid[Speech]:
        """Speak into `into` (replaced when it exists): mono, 16 bit, 22,050 samples a second."""
        voice = _voice(language)
        spoken = _UNSPOKEN.sub(lambda match: " " * len(match.group()), text)
        if not any(character.isalnum() for character in spoken):
            raise Rejected(f"there is nothing to say in {text[:60]!r}")
        if len(text) > CHARACTERS:
            raise Rejected(
                f"a text of {len(text)} characters is too long; {CHARACTERS} is the limit"
            )
        began = monotonic()
        with tempfile.TemporaryDirectory(prefix=".speech-", dir=into.parent) as scratch:
            raw = Path(scratch) / "speech.pcm"
            answer = await self._synthesize(spoken, voice, raw)
            speech = await asyncio.to_thread(_finish, text, answer, raw, into)
        charge = Charge(
            service="espeak-ng",
            operation="speech",
            amount=Decimal(0),
            units=Decimal(len(text)),
            unit_type="characters",
            rate=Decimal(0),
            response_time_ms=round((monotonic() - began) * 1000),
            metadata={"voice": voice},
        )
        return Paid(speech, (charge,))

    async def _synthesize(self, text: str, voice: str, output: Path) -> dict[str, Any]:
        options = self._options
        request = {
            "library": str(self._library),
            "data": str(self._data),
            "voice": f"{voice}+{options.variant}" if options.variant else voice,
            "rate": options.words_per_minute,
            "pitch": options.pitch,
            "range": options.pitch_range,
            "gap": options.word_gap,
            "volume": options.volume,
            "text": text,
            "output": str(output.absolute()),
        }
        # -I: neither the environment nor the current folder decides what the child imports.
        answer = await children.run(
            [sys.executable, "-I", str(_CHILD)],
            purpose=f"eSpeak NG on {text[:60]!r}, {len(text)} characters",
            timeout_seconds=WALL_TIMEOUT_SECONDS,
            stdin=json.dumps(request).encode(),
            limits=_LIMITS,
        )
        return dict(json.loads(answer.stdout))


def _voice(language: str) -> str:
    tag = language.replace("_", "-").lower()
    voice = VOICES.get(tag) or VOICES.get(tag.split("-")[0])
    if voice is None:
        raise Rejected(
            f"the local narrator does not speak {language!r}; it speaks {', '.join(sorted(VOICES))}"
        )
    return voice


def _finish(text: str, answer: dict[str, Any], raw: Path, into: Path) -> Speech:
    """Trim the silence around the speech, time its words, write the WAV in one step."""
    rate = int(answer["rate"])
    samples = np.fromfile(raw, dtype=np.int16)
    first, last = audible_span(samples)
    if first == last:
        raise Rejected(f"nothing is heard of {text[:60]!r} in this voice")
    margin = round(MARGIN_SECONDS * rate)
    begin, end = max(first - margin, 0), min(last + margin, len(samples))
    kept = samples[begin:end].copy()
    _fade(kept, round(FADE_SECONDS * rate))
    reports = [Report(int(character), int(at) - begin) for character, at in answer["events"]]
    words = time_words(text, reports, kept, rate)
    finished = raw.with_suffix(".wav")
    with wave.open(str(finished), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(kept.tobytes())
    finished.replace(into)
    return Speech(into, words, len(kept) / rate)


def _fade(samples: Samples, length: int) -> None:
    if len(samples) < 2 * length:
        return
    slope = np.linspace(0.0, 1.0, length)
    samples[:length] = (samples[:length] * slope).astype(np.int16)
    samples[-length:] = (samples[-length:] * slope[::-1]).astype(np.int16)
