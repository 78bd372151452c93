"""What a finished file really holds, as ffmpeg sees it (there is no ffprobe beside it)."""

import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pipeline import children
from pipeline.render.encoder import RenderOptions, list_packets

PROBE_TIMEOUT_SECONDS = 600.0
_STREAM = re.compile(r"^  Stream #0:(\d+)\S*: (Video|Audio): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: ffmpeg's words about it, how many packets it has, and when it ends (seconds)."""

    kind: str
    description: str
    packets: int
    end: float
    regular: bool
    """True when its packets follow each other without gap or overlap."""


async def probe(options: RenderOptions, media: Path) -> tuple[Stream, ...]:
    """The streams of an MP4 file. Raises `Transient` when it cannot be read."""
    answer = await children.run(
        list_packets(options, media),
        purpose=f"Checking {media.name}",
        timeout_seconds=PROBE_TIMEOUT_SECONDS,
    )
    return parse(answer.stdout.decode(), answer.stderr)


def parse(packets: str, report: str) -> tuple[Stream, ...]:
    """The streams from ffmpeg's packet list and its report."""
    report = report.split("Output #0")[0]
    bases: dict[int, Fraction] = {}
    times: dict[int, list[tuple[int, int]]] = {}
    for line in packets.splitlines():
        if line.startswith("#tb "):
            number, base = line[4:].split(":")
            bases[int(number)] = Fraction(base.strip())
        elif line and not line.startswith("#"):
            index, _, pts, duration, *_ = (part.strip() for part in line.split(","))
            times.setdefault(int(index), []).append((int(pts), int(duration)))
    streams = []
    for index, kind, description in _STREAM.findall(report):
        found = sorted(times.get(int(index), []))
        last = found[-1][0] + found[-1][1] if found else 0
        steps = all(a + d == b for (a, d), (b, _) in itertools.pairwise(found))
        tick = bases.get(int(index), Fraction(1))
        streams.append(Stream(kind, description, len(found), float(last * tick), steps))
    return tuple(streams)
