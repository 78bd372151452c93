"""Segments: stretches of the film that are drawn and encoded alone, addressed by their content.

A segment's address is a hash of everything its pixels depend on: the part of the plan that shows in
it, how it is encoded, and the engine itself (its sources, typefaces and libraries). A finished
segment is therefore valid wherever and whenever its name is asked for again.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.render.encoder import RenderOptions, encode_segment
from pipeline.render.plan import DISSOLVE_SECONDS, Plan, Scene

_LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "uharfbuzz")


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames `first` to `last`-1 of a film. `name` is its file's, made of its address."""

    first: int
    last: int
    name: str

    @property
    def frames(self) -> int:
        return self.last - self.first


def segments_of(plan: Plan, options: RenderOptions) -> tuple[Segment, ...]:
    """Cut a film into segments that never cross from one scene to the next."""
    most = max(1, round(options.segment_seconds * plan.look.fps))
    found = []
    for index, scene in enumerate(plan.scenes):
        count = math.ceil((scene.last - scene.first) / most)
        cuts = [scene.first + (scene.last - scene.first) * i // count for i in range(count + 1)]
        for first, last in itertools.pairwise(cuts):
            found.append(Segment(first, last, _name(plan, index, first, last, options)))
    return tuple(found)


def address(*parts: object) -> str:
    """A hash of values that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _name(plan: Plan, index: int, first: int, last: int, options: RenderOptions) -> str:
    scene = plan.scenes[index]
    shown = scene.model_copy(
        update={
            "cues": tuple(c for c in scene.cues if c.first < last and c.last > first),
            "figures": tuple(f for f in scene.figures if f.first < last and f.last > first),
        }
    )
    before = None
    if index and first < scene.first + math.ceil(DISSOLVE_SECONDS * plan.look.fps):
        # Its ground shows while the scenes dissolve; its words do not.
        before = plan.scenes[index - 1].model_copy(update={"cues": (), "figures": ()})
    arguments = encode_segment(options, plan.look, Path("/segment.mp4"))
    return "segment-{}.mp4".format(
        address(
            engine_version(),
            [options.ffmpeg.name, *arguments[1:]],
            plan.look.model_dump(mode="json"),
            _pixels(shown),
            before and _pixels(before),
            [first, last],
        )
    )


def _pixels(scene: Scene) -> dict[str, Any]:
    """What a scene's pixels depend on: of footage its content, wherever the file lies."""
    return scene.model_dump(mode="json", exclude={"footage": {"path"}})


@lru_cache(maxsize=1)
def engine_version() -> str:
    """A hash of whatever draws: our sources and typefaces, and the versions of the libraries."""
    digest = hashlib.sha256()
    for file in _engine_files():
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}={version(library)}".encode())
    return digest.hexdigest()[:16]


def _engine_files() -> Iterator[Path]:
    folder = Path(__file__).parent
    yield from sorted(folder.glob("*.py"))
    yield from sorted((folder / "fonts").glob("*.[pt][yt]*"))
