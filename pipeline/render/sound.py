"""The sound track: the narration at the loudness that platforms play at.

Loudness is measured (EBU R 128), corrected by a plain gain below a true-peak limiter, and measured
again on the encoded result, until that is right: the promise is about the file.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline import children
from pipeline.errors import Rejected, Transient
from pipeline.render import files
from pipeline.render.encoder import AUDIO_RATE, RenderOptions, encode_sound, measure_loudness

SOUND_TIMEOUT_SECONDS = 1800.0
LOUDNESS_TOLERANCE = 0.25
_MOST_PASSES = 5
_LOUDEST_GAIN = 50.0
_SUMMARY = re.compile(
    r"Summary:.*?I:\s+(?P<integrated>\S+) LUFS.*?Peak:\s+(?P<peak>\S+) dBFS", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Loudness:
    """Integrated loudness in LUFS (-70 for silence) and true peak in dBTP."""

    integrated: float
    true_peak: float


async def measure(options: RenderOptions, sound: Path, container: str = "mp4") -> Loudness:
    """Measure a file's sound as stereo."""
    answer = await children.run(
        measure_loudness(options, sound, container),
        purpose=f"Measuring the loudness of {sound.name}",
        timeout_seconds=SOUND_TIMEOUT_SECONDS,
    )
    found = _SUMMARY.search(answer.stderr)
    if found is None:
        raise Transient(f"ffmpeg said nothing of the loudness of {sound.name}: {answer.stderr}")
    return Loudness(float(found["integrated"]), float(found["peak"]))


async def build(
    options: RenderOptions, narration: Path, target: Path, *, seconds: float
) -> Loudness:
    """Encode the narration as AAC lasting exactly `seconds`; answers what was reached.

    Raises `Rejected` for a silent narration, which no gain makes loud.
    """
    source = await measure(options, narration, "wav")
    if source.integrated < options.loudness - _LOUDEST_GAIN:
        raise Rejected(
            f"The narration {narration.name} is silent ({source.integrated} LUFS): narrate again."
        )
    part = files.temporary(target)
    gain, ceiling = options.loudness - source.integrated, options.true_peak - 0.4
    best: tuple[float, float, float] | None = None
    for _ in range(_MOST_PASSES):
        reached = await _encode(options, narration, part, seconds, gain, ceiling)
        error = options.loudness - reached.integrated
        too_high = reached.true_peak - options.true_peak
        if abs(error) <= LOUDNESS_TOLERANCE and too_high <= 0:
            break
        if too_high <= 0 and (best is None or abs(error) < best[0]):
            best = (abs(error), gain, ceiling)
        gain = min(_LOUDEST_GAIN, gain + error)
        ceiling -= max(0.0, too_high + 0.1) if too_high > 0 else 0.0
    else:
        # So peaky that the limiter eats what the gain adds: keep the nearest that does not clip.
        if best is not None:
            reached = await _encode(options, narration, part, seconds, best[1], best[2])
    files.keep(part, target)
    return reached


async def _encode(
    options: RenderOptions,
    narration: Path,
    part: Path,
    seconds: float,
    gain: float,
    ceiling: float,
) -> Loudness:
    samples = round(seconds * AUDIO_RATE)
    await children.run(
        encode_sound(options, narration, part, samples=samples, gain=gain, ceiling=ceiling),
        purpose="Encoding the sound",
        timeout_seconds=SOUND_TIMEOUT_SECONDS,
    )
    return await measure(options, part)
