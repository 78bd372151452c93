"""A server that speaks ElevenLabs' text to speech as its SDK does, and refuses what it refuses."""

from __future__ import annotations

import base64
import functools
import itertools
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import imageio_ffmpeg
import numpy as np

from tests.services.http_server import Asked, Reply, VendorServer

KEY = "xi-test-canary-93be"
VOICES = {"JBFqnCBsd6RMkjVDRZzb", "voice-two"}
MODELS = {"eleven_multilingual_v2": 10_000, "eleven_flash_v2_5": 40_000, "eleven_v3": 5_000}
CHARACTER_SECONDS = 0.06
TONE_HERTZ = 330


def refused(status: int, name: str, said: str, **headers: str) -> Reply:
    return Reply(status, {"detail": {"status": name, "message": said}}, headers)


OUT_OF_CREDIT = refused(401, "quota_exceeded", "You have 3 credits remaining, 40 are required.")


def tone(text: str, rate: int, seconds: float = CHARACTER_SECONDS) -> bytes:
    """Mono 16-bit samples: each character `seconds` of a tone, white space as much silence."""
    each = round(seconds * rate)
    wave = (np.sin(np.arange(each) * 2 * np.pi * TONE_HERTZ / rate) * 12_000).astype("<i2")
    silence = np.zeros(each, dtype="<i2")
    return b"".join((silence if c.isspace() else wave).tobytes() for c in text)


@functools.lru_cache(maxsize=64)
def mp3(pcm: bytes, rate: int) -> bytes:
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "s16le", "-ar", str(rate),
         "-ac", "1", "-i", "pipe:0", "-f", "mp3", "-b:a", "128k", "pipe:1"],
        input=pcm, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout


def audio_for(text: str, output_format: str, seconds: float = CHARACTER_SECONDS) -> bytes:
    codec, rate = output_format.split("_")[:2]
    pcm = tone(text, int(rate), seconds)
    return mp3(pcm, int(rate)) if codec == "mp3" else pcm


def alignment_of(text: str, seconds: float = CHARACTER_SECONDS) -> dict[str, Any]:
    """A character is heard for its whole stretch."""
    return {
        "characters": list(text),
        "character_start_times_seconds": [round(i * seconds, 3) for i in range(len(text))],
        "character_end_times_seconds": [round((i + 1) * seconds, 3) for i in range(len(text))],
    }


class ElevenLabsServer(VendorServer):
    """The root of an ElevenLabs with one key, two voices and a few models. `history` are the
    recordings that it made, oldest first, whatever the caller saw of them; `may_read_history` is a
    right of the key, `page_size` the most that a page of it holds, and `character_seconds` how long
    a character is heard."""

    def __init__(self, *, key: str = KEY, character_seconds: float = CHARACTER_SECONDS) -> None:
        super().__init__()
        self.key = key
        self.character_seconds = character_seconds
        self.history: list[dict[str, Any]] = []
        self.may_read_history = True
        self.history_reply: Reply | None = None
        self.page_size = 1000
        self._audio: dict[str, tuple[bytes, str]] = {}
        self.characters = {"character_count": 2_500, "character_limit": 10_000}
        self._numbers = itertools.count(1)

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("xi-api-key") != self.key:
            return refused(401, "invalid_api_key", "Invalid API key")
        if asked.method == "GET" and asked.path == "/v1/user/subscription":
            return Reply(200, subscription(**self.characters))
        if asked.method == "GET" and asked.path == "/v1/models":
            return Reply(200, [{"model_id": name, "name": name} for name in MODELS])
        parts = asked.path.strip("/").split("/")
        if asked.method == "GET" and parts[:2] == ["v1", "history"]:
            return self._remembered(asked, parts[2:])
        if (
            asked.method == "POST"
            and parts[:2] == ["v1", "text-to-speech"]
            and parts[3:] == ["with-timestamps"]
        ):
            return self._speak(asked, parts[2])
        return Reply(404, {"detail": "Not Found"})

    def _speak(self, asked: Asked, voice: str) -> Reply:
        request = asked.json()
        problem = _problem(request, voice, asked.query.get("output_format", ["mp3_44100_128"])[0])
        if problem is not None:
            return problem
        return self.planned(asked) or self.spoken(asked)

    def spoken(self, asked: Asked, **changed: Any) -> Reply:
        """A recording of what was asked for; `headers` and fields of the body may be changed."""
        text = asked.json()["text"]
        output_format = asked.query.get("output_format", ["mp3_44100_128"])[0]
        headers = {
            "request-id": f"xi_req_{next(self._numbers)}",
            "character-cost": str(len(text)),
            "current-concurrent-requests": "1",
            "maximum-concurrent-requests": "5",
        } | changed.pop("headers", {})
        audio = audio_for(text, output_format, self.character_seconds)
        aligned = alignment_of(text, self.character_seconds)
        body = {
            "audio_base64": base64.b64encode(audio).decode(),
            "alignment": aligned,
            "normalized_alignment": aligned,
            **changed,
        }
        self._remember(asked, audio, headers)
        kept = {name: value for name, value in headers.items() if value is not None}
        return Reply(200, body, kept)

    def loses(self, asked: Asked) -> Reply:
        """To be planned: the text is spoken and charged, and the connection breaks."""
        return replace(self.spoken(asked), lost=True)

    def _remember(self, asked: Asked, audio: bytes, headers: dict[str, Any]) -> None:
        request = asked.json()
        id_ = f"item_{len(self.history) + 1}"
        used = sum(i["character_count_change_to"] for i in self.history[-1:])
        aligned = alignment_of(request["text"], self.character_seconds)
        output_format = asked.query.get("output_format", ["mp3_44100_128"])[0]
        kind = "audio/mpeg" if output_format.startswith("mp3") else "audio/pcm"
        self._audio[id_] = (audio, kind)
        self.history.append(
            {
                "history_item_id": id_,
                "request_id": headers["request-id"],
                "voice_id": asked.path.split("/")[3],
                "model_id": request.get("model_id", "eleven_multilingual_v2"),
                "text": request["text"],
                "date_unix": int(time.time()),
                "character_count_change_from": used,
                "character_count_change_to": used + len(request["text"]),
                "content_type": kind,
                "state": "created",
                "source": "TTS",
                "alignments": {"alignment": aligned, "normalized_alignment": aligned},
                "output_format": output_format,
            }
        )

    def _remembered(self, asked: Asked, rest: list[str]) -> Reply:
        if self.history_reply is not None:
            return self.history_reply
        if not self.may_read_history:
            return refused(401, "missing_permissions", "The key misses speech_history_read.")
        if len(rest) == 2 and rest[1] == "audio" and rest[0] in self._audio:
            audio, kind = self._audio[rest[0]]
            return Reply(200, audio, media_type=kind)
        if rest:
            return refused(404, "history_item_not_found", f"There is no item {rest[0]}.")
        query = {name: values[0] for name, values in asked.query.items()}
        size = int(query.get("page_size", 100))
        if size > 1000:
            return Reply(422, {"detail": [{"loc": ["query", "page_size"], "msg": "Too large"}]})
        if "model_id" in query and "source" not in query:
            return Reply(422, {"detail": [{"loc": ["query", "source"], "msg": "Field required"}]})
        found = [
            item
            for item in reversed(self.history)
            if query.get("voice_id", item["voice_id"]) == item["voice_id"]
            and int(query.get("date_after_unix", 0)) <= item["date_unix"]
            and item["date_unix"] < int(query.get("date_before_unix", 2**40))
        ]
        ids = [item["history_item_id"] for item in found]
        after = query.get("start_after_history_item_id")
        begin = ids.index(after) + 1 if after in ids else 0
        page = found[begin : begin + min(size, self.page_size)]
        return Reply(
            200,
            {
                "history": page,
                "last_history_item_id": page[-1]["history_item_id"] if page else None,
                "has_more": begin + len(page) < len(found),
                "scanned_until": None,
            },
        )

    def says(self, **changed: Any) -> Callable[[Asked], Reply]:
        """To be planned: a recording, changed."""
        return lambda asked: self.spoken(asked, **dict(changed))


def subscription(**characters: int) -> dict[str, Any]:
    return {
        "tier": "creator",
        **characters,
        "max_credit_limit_extension": 0,
        "can_extend_character_limit": True,
        "allowed_to_extend_character_limit": False,
        "next_character_count_reset_unix": 1_790_000_000,
        "voice_slots_used": 0,
        "professional_voice_slots_used": 0,
        "professional_voice_slots_used_in_workspace": 0,
        "voice_limit": 30,
        "voice_add_edit_counter": 0,
        "professional_voice_limit": 1,
        "can_extend_voice_limit": False,
        "can_use_instant_voice_cloning": True,
        "can_use_professional_voice_cloning": True,
        "current_overage": {"amount": "0", "currency": "usd"},
        "status": "active",
        "open_invoices": [],
        "has_open_invoices": False,
    }


def _problem(request: dict[str, Any], voice: str, output_format: str) -> Reply | None:
    """What of a request the real service would refuse."""
    text, model = request.get("text"), request.get("model_id", "eleven_multilingual_v2")
    if not isinstance(text, str) or not text.strip():
        return Reply(422, {"detail": [{"loc": ["body", "text"], "msg": "Field required"}]})
    if voice not in VOICES:
        return refused(400, "voice_not_found", f"A voice with voice_id {voice} was not found.")
    if model not in MODELS:
        return refused(400, "model_not_found", f"A model with model ID {model} does not exist.")
    if len(text) > MODELS[model]:
        return refused(400, "max_character_limit_exceeded", f"{len(text)} characters are too many.")
    if "language_code" in request and model == "eleven_multilingual_v2":
        return refused(400, "unsupported_language", f"{model} takes no language code.")
    stitched = request.get("previous_request_ids", [])
    if len(stitched) > 3 or (stitched and model == "eleven_v3"):
        return refused(400, "invalid_request_ids", "previous_request_ids cannot be used so.")
    if output_format.split("_")[0] not in {"mp3", "pcm"}:
        return refused(400, "invalid_output_format", f"{output_format} is not known.")
    return None
