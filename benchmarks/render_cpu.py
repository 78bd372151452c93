"""What a render costs beside its encoder: CPU seconds of ours against x264 alone.

    .venv/bin/python benchmarks/render_cpu.py [--pairs 5] [--seconds 8] [--vertical]
        [--footage clips|stills]

Each pair renders the same film (drawing, encoding, sound, joining, checking, all processes) and has
x264 encode the same raw frames with the same arguments, alternating which goes first; the median of
the ratios is the result. x264 reads files, segment by segment, as many side by side as we encode.
With footage, a made-up 1920x1080 clip (H.264, 25 frames a second) or still is behind both sections;
decoding it counts as ours.
"""

import argparse
import asyncio
import hashlib
import resource
import statistics
import subprocess
import tempfile
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

from pipeline.domain import (
    Film,
    SceneFootage,
    Script,
    Section,
    SectionKind,
    SectionSpeech,
    Sentence,
    VideoFormat,
    Word,
)
from pipeline.render.encoder import RenderOptions, encode_segment
from pipeline.render.plan import plan_film
from pipeline.render.planes import Frame
from pipeline.render.renderer import FilmRenderer
from pipeline.render.scene import FilmArtist
from pipeline.render.segments import segments_of

TEXT = "Laser pulses bounced off mirrors left in 1969 show the Moon receding every year. "


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--vertical", action="store_true")
    parser.add_argument("--footage", choices=("clips", "stills"))
    arguments = parser.parse_args()
    options = RenderOptions(ffmpeg=Path(imageio_ffmpeg.get_ffmpeg_exe()))
    frame = VideoFormat(1080, 1920) if arguments.vertical else VideoFormat()
    with tempfile.TemporaryDirectory() as folder:
        film = make_film(Path(folder), frame, arguments.seconds)
        if arguments.footage:
            moving = arguments.footage == "clips"
            footage = make_footage(Path(folder), options, arguments.seconds, moving=moving)
            film = replace(film, footage=(footage, footage))
        raw = draw_raw(film, options, Path(folder))
        ratios, ours, alone, walls = [], [], [], []
        for pair in range(arguments.pairs):
            order = (render, encode) if pair % 2 else (encode, render)
            spent = {}
            for measure in order:
                began, before = time.perf_counter(), cpu_seconds()
                measure(film, options, Path(folder), raw, pair)
                spent[measure] = cpu_seconds() - before
                if measure is render:
                    walls.append(time.perf_counter() - began)
            ours.append(spent[render])
            alone.append(spent[encode])
            ratios.append(spent[render] / spent[encode])
            print(f"pair {pair + 1}: ours {ours[-1]:.2f} s, x264 alone {alone[-1]:.2f} s")
    print(
        f"{frame.width}x{frame.height}, {film.duration:.0f} s of film: "
        f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f}), "
        f"ours {statistics.median(ours):.2f} CPU s, x264 alone {statistics.median(alone):.2f} "
        f"CPU s; wall {statistics.median(walls):.1f} s with {options.processes} processes"
    )


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def make_film(folder: Path, frame: VideoFormat, seconds: float) -> Film:
    """Two sections of even words with a tone for each."""
    half = seconds / 2
    text = TEXT * 9
    words = text.split()[: int(half / 0.32)]
    sections, speech = [], []
    for index, kind in enumerate((SectionKind.HOOK, SectionKind.BODY)):
        start = index * half
        timed = [Word(w, start + i * 0.32, start + i * 0.32 + 0.3) for i, w in enumerate(words)]
        sections.append(Section(kind, "Measured by laser", (Sentence(" ".join(words), 0),)))
        speech.append(SectionSpeech(start, start + half, tuple(timed)))
    rate = 22_050
    clock = np.arange(round(seconds * rate)) / rate
    tone = 0.25 * np.sin(2 * np.pi * 220 * clock) * np.sin(np.pi * clock / 0.32) ** 2
    audio = folder / "narration.wav"
    with wave.open(str(audio), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((tone * 32767).astype("<i2").tobytes())
    script = Script("Why the Moon is leaving", "", (), "The Moon", "en", tuple(sections))
    return Film(script, tuple(speech), audio, seconds, frame, "Orbit Daily", 2)


def make_footage(
    folder: Path, options: RenderOptions, seconds: float, *, moving: bool
) -> SceneFootage:
    """A view across hills of noise, as busy as a landscape; moving, the camera pans over it."""
    rng = np.random.default_rng(1)
    picture = np.zeros((1300, 2300, 3), np.float32)
    for octave in range(9):
        coarse = rng.standard_normal((6 << octave, 10 << octave, 3)).astype(np.float32)
        grown = cv2.resize(coarse, (2300, 1300), interpolation=cv2.INTER_CUBIC)
        picture += grown * np.float32(0.62**octave)
    picture = 128 + picture * np.float32(48 / picture.std())
    still = folder / "hills.jpg"
    cv2.imwrite(str(still), np.clip(picture, 0, 255).astype(np.uint8))
    if not moving:
        digest = hashlib.sha256(still.read_bytes()).hexdigest()
        return SceneFootage(still, digest, False, 0.0, 2300, 1300)
    clip, length = folder / "hills.mp4", seconds / 2 + 1
    across, down = 360 / length, 200 / length
    crop = f"crop=1920:1080:x={across:.2f}*t:y={down:.2f}*t,format=yuv420p"
    source = [str(options.ffmpeg), "-v", "error", "-loop", "1", "-t", f"{length}", "-r", "25"]
    coded = ["-vf", crop, "-c:v", "libx264", "-preset", "veryfast", "-crf", "22", str(clip)]
    subprocess.run([*source, "-i", str(still), *coded], check=True)
    digest = hashlib.sha256(clip.read_bytes()).hexdigest()
    return SceneFootage(clip, digest, True, length, 1920, 1080)


def draw_raw(film: Film, options: RenderOptions, folder: Path) -> list[Path]:
    """The film's frames, uncompressed, a file for each segment."""
    cv2.setNumThreads(1)
    plan = plan_film(film)
    artist, files = FilmArtist(plan, options.ffmpeg), []
    frame = Frame(film.format.width, film.format.height)
    for segment in segments_of(plan, options):
        file = folder / f"{segment.first}.yuv"
        with file.open("wb") as out:
            for n in range(segment.first, segment.last):
                artist.draw(frame, n)
                out.write(frame.buffer.data)
        files.append(file)
    artist.close()
    return files


def render(film: Film, options: RenderOptions, folder: Path, _: list[Path], pair: int) -> None:
    """The whole render, into a fresh folder."""
    target = folder / f"out{pair}"
    renderer = FilmRenderer(options)
    asyncio.run(renderer.render(film, folder=target, progress=lambda part: None))


def encode(film: Film, options: RenderOptions, folder: Path, raw: list[Path], _: int) -> None:
    """The encoder alone, on the same frames with the same arguments, as many side by side."""
    look = plan_film(film).look

    def encode_file(file: Path) -> None:
        with file.open("rb") as frames:
            subprocess.run(
                encode_segment(options, look, file.with_suffix(".mp4")), stdin=frames, check=True
            )

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(encode_file, raw))


if __name__ == "__main__":
    main()
