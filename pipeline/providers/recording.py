"""A vendor's audio as mono 16-bit samples, whatever it is wrapped in."""

import asyncio
import contextlib
import os
import signal
import wave
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

DECODE_TIMEOUT_SECONDS = 120.0
SAMPLE_BYTES = 2


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
    process = await asyncio.create_subprocess_exec(
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner", "-nostdin", "-loglevel", "error", "-protocol_whitelist", "pipe",
        "-f", container, "-i", "pipe:0", "-map", "0:a:0", "-ac", "1", "-ar", str(rate),
        "-f", "s16le", "-protocol_whitelist", "pipe", "pipe:1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DECODE_TIMEOUT_SECONDS):
            pcm, complaint = await process.communicate(audio)
    except TimeoutError as error:
        raise NoAudio(f"not decoded within {DECODE_TIMEOUT_SECONDS:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0 or not pcm:
        last = complaint.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise NoAudio(f"not {container} audio: {last[:200] or 'nothing decoded'}")
    return pcm
