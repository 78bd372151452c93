"""A vendor's audio as mono 16-bit samples, whatever it is wrapped in."""

import os
import wave
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from pipeline import children
from pipeline.errors import Transient

DECODE_TIMEOUT_SECONDS = 120.0
SAMPLE_BYTES = 2
_LIMITS = children.Limits(address_space_bytes=2 * 2**30, cpu_seconds=120, file_bytes=2**20)


class NoAudio(ValueError):
    """The bytes are not audio that can be decoded."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What was asked for: `mp3_44100_128`, `pcm_24000`, ... A name that is none is a ValueError."""

    codec: str
    rate: int

    @classmethod
    def parse(cls, name: str) -> "AudioFormat":
        codec, _, rest = name.partition("_")
        rate = rest.partition("_")[0]
        if codec not in {"mp3", "pcm", "wav"} or not rate.isdigit() or int(rate) < 8_000:
            raise ValueError(
                f"{name!r} is not a format that can be used; take mp3_44100_128, pcm_24000 or"
                " another mp3_, pcm_ or wav_ format"
            )
        return cls(codec, int(rate))


async def samples_of(audio: bytes, asked: AudioFormat) -> bytes:
    """Mono 16-bit little-endian samples at the rate asked for.

    What the bytes say of themselves counts more than what was asked for. Raises `NoAudio` for what
    cannot be decoded, and for nothing at all.
    """
    if audio.startswith(b"RIFF"):
        pcm = await _decoded(audio, "wav", asked.rate)
    elif asked.codec == "mp3" or audio.startswith(b"ID3"):
        pcm = await _decoded(audio, "mp3", asked.rate)
    elif asked.codec == "wav":
        raise NoAudio(f"{len(audio)} bytes without the header of a WAV file")
    else:
        pcm = audio[: len(audio) - len(audio) % SAMPLE_BYTES]
    if not pcm:
        raise NoAudio("the recording is empty")
    return pcm


def write_wav(pcm: bytes, rate: int, into: Path) -> float:
    """Write samples as a WAV file in one step; the duration in seconds."""
    unfinished = into.with_suffix(f".{os.getpid()}.part")
    with wave.open(str(unfinished), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(SAMPLE_BYTES)
        recording.setframerate(rate)
        recording.writeframes(pcm)
    unfinished.replace(into)
    return len(pcm) / SAMPLE_BYTES / rate


async def _decoded(audio: bytes, container: str, rate: int) -> bytes:
    """Decode by ffmpeg over pipes: it opens no file and no address, and ends with its parent."""
    try:
        answer = await children.run(
            [
                imageio_ffmpeg.get_ffmpeg_exe(),
                "-hide_banner", "-nostdin", "-loglevel", "error", "-protocol_whitelist", "pipe",
                "-f", container, "-i", "pipe:0", "-map", "0:a:0", "-ac", "1", "-ar", str(rate),
                "-f", "s16le", "-protocol_whitelist", "pipe", "pipe:1",
            ],
            purpose=f"decoding the recording as {container}",
            timeout_seconds=DECODE_TIMEOUT_SECONDS,
            stdin=audio,
            limits=_LIMITS,
        )  # fmt: skip
    except Transient as error:
        last = str(error).strip().rsplit("\n", 1)[-1]
        raise NoAudio(f"not {container} audio: {last[-200:]}") from error
    if not answer.stdout:
        raise NoAudio(f"not {container} audio: nothing decoded")
    return answer.stdout
