"""The veil over a clip or still: darkness where type stands, next to none where there is none.

Its strength follows from the worst picture, plain white: type of the palettes' brightness keeps a
WCAG contrast of 4.5 on what is left of it.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.render.layout import Box
from pipeline.render.palette import Rgb
from pipeline.render.planes import Bytes, Floats, Sprite, yuv_of

BEHIND_TYPE = 0.67
EVERYWHERE = 0.08
AT_THE_EDGES = 0.30
FADE = 0.46
"""How far the darkness beside type takes to fade, in parts of the frame's longer side."""


def veil(width: int, height: int, heading: Box | None, mark: Box, colour: Rgb, seed: int) -> Sprite:
    """A sprite of the frame's size in one colour, densest from the edge up to where type ends.

    Beside a heading it fades across the frame; where a heading is as wide as the frame, or there is
    none, it fades from the top downwards.
    """
    small = (max(16, width // 4), max(16, height // 4))
    xs = (np.arange(small[0], dtype=np.float32) + 0.5)[None, :] * (width / small[0])
    ys = (np.arange(small[1], dtype=np.float32) + 0.5)[:, None] * (height / small[1])
    light = np.full((small[1], small[0]), 1.0 - EVERYWHERE, np.float32)
    light *= 1 - AT_THE_EDGES * _smooth((ys / height - 0.62) / 0.38)
    light *= 1 - AT_THE_EDGES * _smooth((0.2 - ys / height) / 0.2)
    fade = FADE * max(width, height)
    if heading is None or height > width:
        end = max(mark.bottom, heading.bottom if heading else 0.0)
        past = (ys - end) / (fade if heading else fade / 2)
    elif heading.left + heading.right > width:  # it stands on the right: from right to left
        past = (min(heading.left, mark.left) - xs) / fade
    else:
        past = (xs - max(heading.right, mark.right)) / fade
    light = np.minimum(light, 1 - BEHIND_TYPE * _smooth(1 - past))
    # A minimum leaves a crease where two slopes meet.
    light = np.minimum(light, cv2.GaussianBlur(light, (0, 0), min(small) * 0.04))
    alpha = 1 - np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC))
    halved = cv2.resize(alpha, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(seed + 3)
    y, u, v = yuv_of(colour)
    keep_luma, luma = _dithered(alpha, y, rng)
    keep_chroma, u_plane = _dithered(halved, u, rng)
    v_plane = _rounded((255 - keep_chroma.astype(np.float32)) / 255 * v)
    return Sprite(0, 0, keep_luma, keep_chroma, luma, u_plane, v_plane)


def _smooth(progress: NDArray[Any]) -> Floats:
    """Progress 0..1, level at both ends."""
    t = np.clip(progress, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _dithered(alpha: NDArray[Any], value: float, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """What remains of the picture, and what is added; noise of one step breaks up the bands."""
    noise = rng.uniform(-0.5, 0.5, alpha.shape).astype(np.float32)
    keep = _rounded(255 * (1 - alpha) + noise)
    return keep, _rounded((255 - keep.astype(np.float32)) / 255 * value)


def _rounded(values: NDArray[Any]) -> Bytes:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
