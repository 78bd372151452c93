"""Speech by ElevenLabs, with the time of every character."""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from elevenlabs.client import AsyncElevenLabs

from pipeline.domain import Charge, Paid, Speech, Word
from pipeline.errors import Rejected, StageError, Transient
from pipeline.ports import CallLedger
from pipeline.providers.character_timing import spans_of, timed_units
from pipeline.providers.elevenlabs_call import ElevenLabsOptions, SpeechCall
from pipeline.providers.elevenlabs_errors import SERVICE
from pipeline.providers.elevenlabs_models import voice_model
from pipeline.providers.elevenlabs_text import sayable_words, shards
from pipeline.providers.recording import (
    SAMPLE_BYTES,
    AudioFormat,
    NoAudio,
    samples_of,
    write_wav,
)
from pipeline.providers.refusals import quoted
from pipeline.providers.word_timing import time_words

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
class _Take:
    pcm: bytes
    spans: Sequence[tuple[float, float]]
    request_id: str | None


class ElevenLabsNarrator:
    """A narrator over a ready client (see `SpeechCall`); every call is made through the ledger."""

    def __init__(
        self, client: AsyncElevenLabs, options: ElevenLabsOptions, calls: CallLedger
    ) -> None:
        self._calls = calls
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
        for shard, run in enumerate(runs):
            asked: dict[str, Any] = {"text": " ".join(words[i] for i in run if words[i])}
            if code is not None:
                asked["language_code"] = code
            earlier = [take.request_id for take in takes if take.request_id]
            if self._model.stitches and earlier:
                asked["previous_request_ids"] = earlier[-STITCHED_REQUESTS:]
            try:
                takes.append(await self._take(asked, [words[i] for i in run], shard, charges))
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
        self, asked: dict[str, Any], words: Sequence[str], shard: int, charges: list[Charge]
    ) -> _Take:
        """A recording of the words; each call's charge is appended before its answer is judged."""
        problem = ""
        for occasion in range(CALLS):
            call = SpeechCall(
                self._client,
                self._options,
                asked,
                shard=shard,
                occasion=occasion,
                number=len(charges),
            )
            answered = await self._calls.make(call)
            charges.append(answered.charge)
            document = json.loads(answered.answer.body)
            if not isinstance(document, dict):
                raise Transient(
                    f"ElevenLabs' answer is not what its interface says ({type(document).__name__})"
                )
            try:
                return await self._read(document, words, answered.charge.request_id)
            except Unusable as unusable:
                problem = str(unusable)
        raise Rejected(f"ElevenLabs' recording cannot be used, not even the second one: {problem}")

    async def _read(
        self, data: dict[str, Any], words: Sequence[str], request_id: str | None
    ) -> _Take:
        """The samples and the words' times; `Unusable` for what is no recording of these words."""
        try:
            audio = base64.b64decode(str(data.get("audio_base64") or ""), validate=True)
            pcm = await samples_of(audio, self._format_of(data))
        except (binascii.Error, ValueError, NoAudio) as error:
            raise Unusable(f"it is no audio ({quoted(error)})") from error
        rate = self._format.rate
        duration = len(pcm) / SAMPLE_BYTES / rate
        _check_length(duration, " ".join(words))
        spans = _spans(data, words, duration)
        if spans is None:
            return _Take(pcm, _estimated(pcm, words, rate), request_id)
        return _Take(pcm, spans, request_id)

    def _format_of(self, data: dict[str, Any]) -> AudioFormat:
        """What was asked for; the history may keep a recording in another codec, and says so."""
        if "mpeg" in str(data.get("content_type", "")):
            return AudioFormat("mp3", self._format.rate)
        return self._format


def _check_length(duration: float, text: str) -> None:
    shortest = len(text) / FASTEST_CHARACTERS_A_SECOND
    longest = TRAILING_SECONDS + len(text) * SLOWEST_SECONDS_A_CHARACTER
    if not shortest <= duration <= longest:
        raise Unusable(f"{duration:.2f} s do not fit a text of {len(text)} characters")


def _spans(
    data: dict[str, Any], words: Sequence[str], duration: float
) -> list[tuple[float, float]] | None:
    """Times by the alignment of the text itself, else by that of the text as it was read out; None
    when the vendor gives neither, as its interface allows."""
    problem = ""
    for name in ("alignment", "normalized_alignment"):
        alignment = data.get(name)
        if alignment is None:
            continue
        try:
            timed = timed_units(
                [str(character) for character in alignment["characters"]],
                [float(start) for start in alignment["character_start_times_seconds"]],
                [float(end) for end in alignment["character_end_times_seconds"]],
            )
            last = max((one.end for one in timed), default=0.0)
            if last > duration + CUT_SECONDS:
                raise Unusable(f"it ends after {duration:.2f} s, but speaks until {last:.2f} s")
            if last < duration - TRAILING_SECONDS:
                raise Unusable(f"it lasts {duration:.2f} s, but speaks until {last:.2f} s")
            return spans_of(words, timed, duration)
        except (KeyError, TypeError, ValueError) as error:
            problem = quoted(error)
    if problem:
        raise Unusable(problem)
    return None


def _estimated(pcm: bytes, words: Sequence[str], rate: int) -> list[tuple[float, float]]:
    """Times by the length of the words, within what is audible."""
    text = " ".join(word or "-" for word in words)
    timed = time_words(text, (), np.frombuffer(pcm, dtype=np.int16), rate)
    return [(word.start, word.end) for word in timed]
