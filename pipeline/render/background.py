"""Generated backgrounds: a slow gradient of a scene's colours that drifts below an ornament.

Everything is precomputed larger than the frame once a scene; a frame only samples it at a place
between pixels (bilinear), which is what keeps slow motion free of jitter. A fine grain breaks up
the 8-bit steps of the gradient, which would otherwise show as bands.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.render.layout import Layout
from pipeline.render.palette import Ground, Palette, Rgb
from pipeline.render.planes import Bytes, Floats, Frame, planes_of

# The bigger, the rougher the picture and the costlier the film; smaller ones leave bands.
GRAIN = 1.1


@dataclass(frozen=True, slots=True)
class Drift:
    """A slow, smooth path: a sum of one sine in each direction. Lengths in pixels."""

    reach_x: float
    reach_y: float
    period_x: float
    period_y: float
    phase: float

    def at(self, n: int, fps: int) -> tuple[float, float]:
        """The displacement in frame n."""
        t = n / fps
        return (
            self.reach_x * math.sin(2 * math.pi * t / self.period_x + self.phase),
            self.reach_y * math.sin(2 * math.pi * t / self.period_y + 1.7 * self.phase),
        )


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A scene's gradient as planes with a margin, and how it drifts."""

    y: Bytes
    u: Bytes
    v: Bytes
    margin: int
    drift: Drift

    def draw(self, frame: Frame, n: int, fps: int) -> None:
        """Fill a frame with the gradient as it lies in frame n."""
        dx, dy = self.drift.at(n, fps)
        sample(self.y, frame.y, self.margin + dx, self.margin + dy)
        half = self.margin / 2
        sample(self.u, frame.u, half + dx / 2, half + dy / 2)
        sample(self.v, frame.v, half + dx / 2, half + dy / 2)


def sample(source: Bytes, target: Bytes, left: float, top: float) -> None:
    """Fill `target` from `source` with its top left corner at a place between pixels."""
    height, width = target.shape
    centre = (left + (width - 1) / 2, top + (height - 1) / 2)
    result = cv2.getRectSubPix(source, (width, height), centre, target)
    if result is not target:
        target[:] = result


def backdrop(layout: Layout, ground: Ground, seed: int) -> Backdrop:
    """Compute a scene's gradient."""
    rng = np.random.default_rng(seed)
    margin = 2 * math.ceil(2.4 * layout.u)
    rgb = gradient(layout.width + 2 * margin, layout.height + 2 * margin, ground, rng)
    y, u, v = planes_of(rgb)
    reach = margin - 4.0
    drift = Drift(
        reach_x=reach,
        reach_y=reach * 0.8,
        period_x=float(rng.uniform(17, 23)),
        period_y=float(rng.uniform(24, 31)),
        phase=float(rng.uniform(0, 2 * math.pi)),
    )
    return Backdrop(
        _grained(y, rng, GRAIN), _grained(u, rng, 0.5), _grained(v, rng, 0.5), margin, drift
    )


def gradient(width: int, height: int, ground: Ground, rng: np.random.Generator) -> Floats:
    """A linear gradient with soft glows in it, as RGB 0..255.

    It is computed small and enlarged: nothing in it is sharp.
    """
    step = max(4, min(width, height) // 135)
    w, h = math.ceil(width / step), math.ceil(height / step)
    aspect = width / height
    xs = np.linspace(0, aspect, w, dtype=np.float32)[None, :]
    ys = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    angle = rng.uniform(0.15, 0.45) * math.pi
    along = xs / aspect * math.cos(angle) + ys * math.sin(angle)
    along = ((along - along.min()) / (along.max() - along.min())).astype(np.float32)
    rgb = _mix(_colour(ground.start), _colour(ground.end), along[:, :, None])
    for colour, share in ((ground.glow, 0.8), (ground.second_glow, 0.7), (ground.end, 0.5)):
        cx, cy = rng.uniform(0.25, 1.05) * aspect, rng.uniform(-0.05, 1.05)
        radius = rng.uniform(0.4, 0.7)
        falloff = np.exp(-((xs - cx) ** 2 + (ys - cy) ** 2) / (2 * radius**2)) * share
        rgb = _mix(rgb, _colour(colour), falloff[:, :, None].astype(np.float32))
    large = cv2.resize(rgb.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def _grained(plane: Floats, rng: np.random.Generator, strength: float) -> Bytes:
    """Round to bytes below a grain of about a pixel and a half, tiled from a small patch.

    Finer grain is averaged away by sampling between pixels and by the encoder.
    """
    noise = rng.standard_normal((509, 509), np.float32)
    patch: Floats = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.7), np.float32)
    patch = patch * np.float32(strength / float(patch.std()))
    rows, columns = (math.ceil(side / 509) for side in plane.shape)
    tiled = np.tile(patch, (rows, columns))[: plane.shape[0], : plane.shape[1]]
    return np.asarray(np.clip(np.rint(plane + tiled), 0, 255), np.uint8)


def glow_colour(palette: Palette, share: float, ground: Ground) -> Rgb:
    """The accent mixed into a ground: for ornaments that should not shout."""
    mixed = _mix(_colour(ground.end), _colour(palette.accent), np.float32(share))
    r, g, b = (int(c) for c in np.rint(mixed))
    return r, g, b


def _colour(rgb: Rgb) -> Floats:
    return np.array(rgb, np.float32)


def _mix(a: Floats, b: Floats, share: Floats | np.float32) -> Floats:
    return np.asarray(a + (b - a) * share, np.float32)
