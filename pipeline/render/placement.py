"""How a clip or still fills its scene: decided once, as numbers that go into the plan."""

import math
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.domain import SceneFootage
from pipeline.errors import Rejected

STRETCH_MOST = 1.15
"""A clip just too short for its scene is slowed by up to this; slower would be seen."""
OVERLAP_SECONDS = 0.6
"""How long a clip that starts over dissolves into its own beginning."""
LOOP_SECONDS_LEAST = 1.5
"""A shorter clip stands still at its end: starting over and over would be a flicker."""


class Picture(BaseModel):
    """A clip or still behind a scene. Its pixels are those of the file with this `sha256`.

    A clip is played `stretch` times as long as it is, which makes `frames` frames of the film. When
    these end before the scene does, it starts over every `period` frames, dissolving into itself
    over the `overlap` that follows; with a period of 0 its last frame stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    is_video: bool
    focus: tuple[float, float]
    frames: int = 0
    stretch: float = 1.0
    period: int = 0
    overlap: int = 0


def place(footage: SceneFootage, shown: int, fps: int) -> Picture:
    """Decide how footage fills a scene of which `shown` frames are seen, dissolves included.

    Raises `Rejected` for footage that cannot be shown, naming its file.
    """
    name = footage.path.name
    if not re.fullmatch("[0-9a-f]{64}", footage.sha256):
        raise Rejected(f"The footage {name} has no SHA-256: find footage for the section again.")
    if not all(0.0 <= part <= 1.0 for part in footage.focus):
        raise Rejected(f"The footage {name} has its focus at {footage.focus}: outside of 0 to 1.")
    still = Picture(
        path=str(Path(footage.path).absolute()),
        sha256=footage.sha256,
        is_video=footage.is_video,
        focus=footage.focus,
    )
    if not footage.is_video:
        return still
    if not (math.isfinite(footage.duration) and footage.duration * fps >= 1.0):
        raise Rejected(
            f"The clip {name} lasts {footage.duration} s, less than a frame: replace it."
        )
    wanted = shown / (footage.duration * fps)
    stretch = round(wanted, 6) if 1.0 < wanted <= STRETCH_MOST else 1.0
    frames = max(1, math.floor(round(footage.duration * fps * stretch, 3)))
    overlap = min(round(OVERLAP_SECONDS * fps), frames // 4)
    loops = frames < shown and stretch == 1.0 and frames >= LOOP_SECONDS_LEAST * fps
    return still.model_copy(
        update={
            "frames": frames,
            "stretch": stretch,
            "period": frames - overlap if loops else 0,
            "overlap": overlap if loops else 0,
        }
    )
