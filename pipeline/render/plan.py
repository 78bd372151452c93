"""A film as a plan: everything decided, every time an integer frame.

A frame is a pure function of (plan, its number). The plan serialises to JSON, which is what is
hashed to address a segment and what a drawing process is given.
"""

import itertools
import math
import random
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from pipeline.domain import Film, SectionKind, SectionSpeech, Word
from pipeline.errors import Rejected
from pipeline.render import captions
from pipeline.render.fonts import TITLE_FACES
from pipeline.render.palette import PALETTES
from pipeline.render.placement import Picture, place
from pipeline.render.text import clean, clusters, unsupported

MOTIFS = ("rings", "dots", "waves", "arcs", "facets")
SMALLEST_SIDE, LARGEST_SIDE = 144, 4320
LONGEST_SECONDS = 4 * 3600.0
DISSOLVE_SECONDS = 0.4
"""How long a scene is still seen below the next one."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimedWord(_Frozen):
    """A word, or a piece of one too wide for a line, highlighted from frame `first` to `last`-1.

    `last` may equal `first` when two words begin within one frame.
    """

    text: str
    first: int
    last: int


class TimedCue(_Frozen):
    """Words on screen from frame `first` to `last`-1."""

    words: tuple[TimedWord, ...]
    first: int
    last: int


class Figure(_Frozen):
    """A number that is spoken, shown large from frame `first` to `last`-1."""

    text: str
    first: int
    last: int


class Scene(_Frozen):
    """One section on screen from frame `first` to `last`-1. `number` counts body scenes from 1.

    Without footage it has a generated ground.
    """

    kind: SectionKind
    heading: str
    number: int
    first: int
    last: int
    ground: int
    motif: str
    seed: int
    cues: tuple[TimedCue, ...]
    figures: tuple[Figure, ...]
    footage: Picture | None = None


class Look(_Frozen):
    """What is the same in every frame of a film."""

    width: int
    height: int
    fps: int
    palette: str
    title_face: str
    channel: str
    title: str
    bounds: tuple[int, ...]
    """The first frame of every scene, then the number of frames in all."""

    @property
    def frames(self) -> int:
        return self.bounds[-1]


class Plan(_Frozen):
    """A whole film."""

    look: Look
    scenes: tuple[Scene, ...]


def frame_at(seconds: float, fps: int) -> int:
    """The frame whose beginning is nearest to a time."""
    return math.floor(seconds * fps + 0.5)


def frame_count(seconds: float, fps: int) -> int:
    """How many frames cover a duration; a rounding error of a float adds none."""
    return math.ceil(round(seconds * fps, 6))


def plan_film(film: Film) -> Plan:
    """Decide a film's frames. Raises `Rejected` for a film that cannot be drawn, saying why."""
    _check(film)
    fps, total = film.format.fps, frame_count(film.duration, film.format.fps)
    chance = random.Random(film.seed)  # noqa: S311 - a look, not a secret
    palette, face = chance.choice(PALETTES), chance.choice(TITLE_FACES)
    ground = chance.randrange(len(palette.grounds))
    motifs = list(MOTIFS)
    chance.shuffle(motifs)
    bounds = _bounds(film.sections, fps, total)
    scenes = []
    number = 0
    for i, (section, speech) in enumerate(zip(film.script.sections, film.sections, strict=True)):
        number += section.kind is SectionKind.BODY
        first, last = bounds[i], bounds[i + 1]
        cues = _cues(speech.words, fps, first, last, vertical=film.format.vertical)
        heading = clean(section.heading)
        footage = film.footage[i] if film.footage else None
        shown = last - first + math.ceil(DISSOLVE_SECONDS * fps)
        scenes.append(
            Scene(
                kind=section.kind,
                heading=heading,
                number=number if section.kind is SectionKind.BODY else 0,
                first=first,
                last=last,
                ground=(ground + i) % len(palette.grounds),
                motif=motifs[i % len(motifs)],
                seed=chance.randrange(2**31),
                cues=cues,
                figures=_figures(cues, fps, last) if section.kind is SectionKind.BODY else (),
                footage=place(footage, shown, fps) if footage else None,
            )
        )
    look = Look(
        width=film.format.width,
        height=film.format.height,
        fps=fps,
        palette=palette.name,
        title_face=face,
        channel=clean(film.channel_name),
        title=clean(film.script.title),
        bounds=bounds,
    )
    return Plan(look=look, scenes=tuple(scenes))


def _check(film: Film) -> None:
    f = film.format
    sides = (f.width, f.height)
    if any(side % 2 or not SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
        raise Rejected(
            f"Cannot render {f.width}x{f.height}: both sides must be even and between "
            f"{SMALLEST_SIDE} and {LARGEST_SIDE} pixels."
        )
    if not 1 <= f.fps <= 120:
        raise Rejected(f"Cannot render at {f.fps} frames a second: choose 1 to 120.")
    if not 0 < film.duration <= LONGEST_SECONDS:
        raise Rejected(
            f"Cannot render {film.duration} s: a film lasts up to {LONGEST_SECONDS:.0f} s."
        )
    if not film.sections or len(film.sections) != len(film.script.sections):
        raise Rejected(
            f"The script has {len(film.script.sections)} sections, its narration "
            f"{len(film.sections)}: narrate the script again."
        )
    if film.footage and len(film.footage) != len(film.sections):
        raise Rejected(
            f"{len(film.footage)} pieces of footage for {len(film.sections)} sections: each has "
            "one or None; find the footage again."
        )
    spoken = " ".join(w.text for s in film.sections for w in s.words)
    missing = unsupported(f"{film.script.title} {spoken}")
    letters = {c for c in spoken if c.isalpha()}
    if missing and len(missing) * 2 > len(letters):
        raise Rejected(
            f"No typeface for most of the text ({missing[:12]!r}...): the renderer draws Latin, "
            "Greek, Cyrillic, Arabic, Hebrew, Devanagari, Thai, Chinese, Japanese and Korean."
        )


def _bounds(sections: Sequence[SectionSpeech], fps: int, total: int) -> tuple[int, ...]:
    """The first frame of each scene and the end; every scene has a frame at least."""
    if total < len(sections):
        raise Rejected(f"{len(sections)} sections do not fit into a film of {total} frames.")
    bounds = [0]
    for i, section in enumerate(sections[1:], 1):
        latest = total - (len(sections) - i)
        bounds.append(min(latest, max(bounds[-1] + 1, frame_at(section.start, fps))))
    return (*bounds, total)


def _cues(
    words: Sequence[Word], fps: int, first: int, last: int, *, vertical: bool
) -> tuple[TimedCue, ...]:
    width = 22.0 if vertical else 38.0
    shown = [w for w in words if clean(w.text)]
    pieces = [piece for word in shown for piece in _pieces(word, width)]
    timed = []
    for cue in captions.group(pieces, most_words=4 if vertical else 6, most_width=width):
        start = min(last - 1, max(first, frame_at(cue.start, fps)))
        end = min(last, max(start + 1, frame_at(cue.end, fps)))
        timed.append(TimedCue(words=_highlights(cue, fps, start, end), first=start, last=end))
    return tuple(timed)


def _pieces(word: Word, width: float) -> list[Word]:
    """A word too wide for a cue (ideographs have no spaces) in pieces, its time shared out."""
    letters = clusters(clean(word.text))
    weight = 2 if len(letters[0].encode()) > 2 else 1
    most = max(1, int(width * 0.7) // weight)
    if len(letters) * weight <= width:
        return [Word("".join(letters), word.start, word.end)]
    count = math.ceil(len(letters) / most)
    cuts = [round(i * len(letters) / count) for i in range(count + 1)]
    span = (word.end - word.start) / len(letters)
    return [
        Word("".join(letters[a:b]), word.start + a * span, word.start + b * span)
        for a, b in itertools.pairwise(cuts)
    ]


def _highlights(cue: captions.Cue, fps: int, first: int, last: int) -> tuple[TimedWord, ...]:
    """Each word is lit from its onset to the next one's, the last one until the cue goes."""
    onsets = [min(last, max(first, frame_at(word.start, fps))) for word in cue.words]
    return tuple(
        TimedWord(text=word.text, first=onset, last=following)
        for word, onset, following in zip(cue.words, onsets, [*onsets[1:], last], strict=True)
    )


def _figures(cues: Sequence[TimedCue], fps: int, last: int) -> tuple[Figure, ...]:
    """Spoken numbers worth showing large, each for two seconds and a half or until the next."""
    found: list[Figure] = []
    for cue in cues:
        for word in cue.words:
            text = word.text.strip("\"'“”‘’()[]{}.,;:!?…«»")
            digits = sum(c.isdigit() for c in text)
            if digits >= 2 and len(text) <= 10 and digits * 2 >= len(text):
                if found and found[-1].last > word.first:
                    found[-1] = found[-1].model_copy(update={"last": word.first})
                end = min(last, word.first + round(2.5 * fps))
                found.append(Figure(text=text, first=word.first, last=end))
    return tuple(figure for figure in found if figure.last - figure.first >= fps // 2)
