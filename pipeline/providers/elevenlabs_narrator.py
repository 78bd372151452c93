"""Speech by ElevenLabs, with the time of every character."""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import numpy as np
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.parse_error import ParsingError
from elevenlabs.core.request_options import RequestOptions

from pipeline.domain import Charge, Paid, Speech, Word
from pipeline.errors import Rejected, StageError, Transient
from pipeline.providers.character_timing import spans_of, timed_units
from pipeline.providers.elevenlabs_errors import SERVICE, translated
from pipeline.providers.elevenlabs_models import voice_model
from pipeline.providers.elevenlabs_text import sayable_words, shards
from pipeline.providers.prices import CharacterPrice, character_cost
from pipeline.providers.recording import (
    SAMPLE_BYTES,
    AudioFormat,
    NoAudio,
    samples_of,
    write_wav,
)
from pipeline.providers.refusals import quoted
from pipeline.providers.word_timing import time_words

OPERATION = "speech"
CALL_TIMEOUT_SECONDS = 240
CALLS = 2  # a shard, and one repeat of it when its audio is unusable
STITCHED_REQUESTS = 3
# A recording ends with its last character or a little later; else it was cut, or is not ours.
CUT_SECONDS = 0.3
TRAILING_SECONDS = 15.0
# Nobody speaks faster or slower than this, numbers and pauses included.
FASTEST_CHARACTERS_A_SECOND = 60.0
SLOWEST_SECONDS_A_CHARACTER = 3.0


class Unusable(Exception):
    """What was answered is not a recording of the text; asked again, it may be."""


@dataclass(frozen=True, slots=True)
class ElevenLabsOptions:
    """How calls are made and priced. `api_key` is known so that it is never quoted."""

    voice_id: str
    model: str
    api_key: str
    audio: str
    price: CharacterPrice

    def __repr__(self) -> str:
        return f"ElevenLabsOptions(voice_id={self.voice_id!r}, model={self.model!r})"


@dataclass(frozen=True, slots=True)
class _Take:
    pcm: bytes
    spans: Sequence[tuple[float, float]]
    request_id: str | None
    estimated: bool = False


class ElevenLabsNarrator:
    """A narrator over a ready client."""

    def __init__(self, client: AsyncElevenLabs, options: ElevenLabsOptions) -> None:
        self._client = client
        self._options = options
        self._model = voice_model(options.model)
        self._format = AudioFormat.parse(options.audio)

    @property
    def voice(self) -> str:
        """`elevenlabs/<voice id>/<model>`."""
        return f"{SERVICE}/{self._options.voice_id}/{self._options.model}"

    async def speak(self, text: str, *, language: str, into: Path) -> Paid[Speech]:
        """Speak into `into` (replaced when it exists): mono, 16 bit, at the format's rate.

        A text longer than the model takes is several calls, each with a charge. An unusable
        recording is asked for once more, then the text is `Rejected`; every error carries what was
        charged on the way.
        """
        code = self._model.language_code(language)
        words = sayable_words(text)
        runs = shards(words, self._model.characters)
        charges: list[Charge] = []
        takes: list[_Take] = []
        for run in runs:
            earlier = [take.request_id for take in takes if take.request_id]
            try:
                takes.append(await self._take([words[i] for i in run], code, earlier, charges))
            except StageError as error:
                error.charges = tuple(charges)
                raise
        rate = self._format.rate
        spans: list[tuple[float, float]] = []
        samples = 0
        for take in takes:
            begun = samples / rate
            spans.extend((begun + start, begun + end) for start, end in take.spans)
            samples += len(take.pcm) // SAMPLE_BYTES
        pcm = b"".join(take.pcm for take in takes)
        duration = await asyncio.to_thread(write_wav, pcm, rate, into)
        timed = tuple(
            Word(word, min(start, duration), min(end, duration))
            for word, (start, end) in zip(text.split(), spans, strict=True)
        )
        return Paid(Speech(into, timed, duration), tuple(charges))

    async def _take(
        self, words: Sequence[str], code: str | None, earlier: list[str], charges: list[Charge]
    ) -> _Take:
        problem = ""
        for _ in range(CALLS):
            data, request_id = await self._ask(words, code, earlier, charges)
            try:
                take = await self._read(data, words, request_id)
            except Unusable as unusable:
                problem = str(unusable)
                continue
            if take.estimated:
                marked = {**charges[-1].metadata, "timings": "estimated"}
                charges[-1] = replace(charges[-1], metadata=marked)
            return take
        raise Rejected(f"ElevenLabs' recording cannot be used, not even the second one: {problem}")

    async def _ask(
        self, words: Sequence[str], code: str | None, earlier: list[str], charges: list[Charge]
    ) -> tuple[Any, str | None]:
        """One call; its charge is appended before anything else is made of the answer."""
        options = self._options
        text = " ".join(word for word in words if word)
        request: dict[str, Any] = {"text": text, "model_id": options.model}
        if code is not None:
            request["language_code"] = code
        if self._model.stitches and earlier:
            request["previous_request_ids"] = earlier[-STITCHED_REQUESTS:]
        began = monotonic()
        try:
            raw = await self._client.text_to_speech.with_raw_response.convert_with_timestamps(
                options.voice_id,
                output_format=options.audio,
                request_options=RequestOptions(
                    max_retries=0, timeout_in_seconds=CALL_TIMEOUT_SECONDS
                ),
                **request,
            )
        except ParsingError as error:
            charges.append(self._charge(text, error.headers or {}, began, len(charges)))
            raise Transient("ElevenLabs' answer is not what its interface says") from None
        except (ApiError, httpx.HTTPError) as error:
            # Not chained: the client's error holds the answer, which may repeat the key.
            raise translated(error, secret=options.api_key) from None
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise Transient("what answered for ElevenLabs was no JSON") from None
        except (TypeError, ValueError, AttributeError) as error:
            # JSON of another shape breaks the SDK's reading, and the headers are lost with it.
            charges.append(self._charge(text, {}, began, len(charges)))
            raise Transient(
                f"ElevenLabs' answer is not what its interface says ({type(error).__name__})"
            ) from None
        charge = self._charge(text, raw.headers, began, len(charges))
        charges.append(charge)
        return raw.data, charge.request_id

    def _charge(self, text: str, headers: Any, began: float, shard: int) -> Charge:
        """Characters as the cost header says; estimated, and marked so, where it does not."""
        options = self._options
        lower = {str(name).lower(): str(value) for name, value in dict(headers).items()}
        metadata = {"model": options.model, "voice": options.voice_id}
        units = _units(lower.get("character-cost"))
        if units is None:
            units = len(text) * options.price.factor
            metadata["estimated"] = "yes"
        request_id = lower.get("request-id")
        return Charge(
            service=SERVICE,
            operation=OPERATION,
            amount=character_cost(units, options.price),
            units=units,
            unit_type="characters",
            rate=options.price.rate,
            request_id=quoted(request_id)[:100] if request_id else None,
            response_time_ms=round((monotonic() - began) * 1000),
            shard=shard,
            metadata=metadata,
        )

    async def _read(self, data: Any, words: Sequence[str], request_id: str | None) -> _Take:
        """The samples and the words' times; `Unusable` for what is no recording of these words."""
        try:
            audio = base64.b64decode(str(getattr(data, "audio_base_64", "") or ""), validate=True)
            pcm = await samples_of(audio, self._format)
        except (binascii.Error, ValueError, NoAudio) as error:
            raise Unusable(f"it is no audio ({quoted(error)})") from error
        rate = self._format.rate
        duration = len(pcm) / SAMPLE_BYTES / rate
        _check_length(duration, " ".join(words))
        spans = _spans(data, words, duration)
        if spans is None:
            return _Take(pcm, _estimated(pcm, words, rate), request_id, estimated=True)
        return _Take(pcm, spans, request_id)


def _check_length(duration: float, text: str) -> None:
    shortest = len(text) / FASTEST_CHARACTERS_A_SECOND
    longest = TRAILING_SECONDS + len(text) * SLOWEST_SECONDS_A_CHARACTER
    if not shortest <= duration <= longest:
        raise Unusable(f"{duration:.2f} s do not fit a text of {len(text)} characters")


def _spans(data: Any, words: Sequence[str], duration: float) -> list[tuple[float, float]] | None:
    """Times by the alignment of the text itself, else by that of the text as it was read out; None
    when the vendor gives neither, as its interface allows."""
    problem = ""
    for name in ("alignment", "normalized_alignment"):
        alignment = getattr(data, name, None)
        if alignment is None:
            continue
        try:
            timed = timed_units(
                [str(character) for character in alignment.characters],
                [float(start) for start in alignment.character_start_times_seconds],
                [float(end) for end in alignment.character_end_times_seconds],
            )
            last = max((one.end for one in timed), default=0.0)
            if last > duration + CUT_SECONDS:
                raise Unusable(f"it ends after {duration:.2f} s, but speaks until {last:.2f} s")
            if last < duration - TRAILING_SECONDS:
                raise Unusable(f"it lasts {duration:.2f} s, but speaks until {last:.2f} s")
            return spans_of(words, timed, duration)
        except (AttributeError, TypeError, ValueError) as error:
            problem = quoted(error)
    if problem:
        raise Unusable(problem)
    return None


def _estimated(pcm: bytes, words: Sequence[str], rate: int) -> list[tuple[float, float]]:
    """Times by the length of the words, within what is audible."""
    text = " ".join(word or "-" for word in words)
    timed = time_words(text, (), np.frombuffer(pcm, dtype=np.int16), rate)
    return [(word.start, word.end) for word in timed]


def _units(header: str | None) -> Decimal | None:
    try:
        units = Decimal((header or "").strip())
    except InvalidOperation:
        return None
    return units if units.is_finite() and 0 <= units < 10**9 else None
