"""Stills behind a scene: cut to the frame once, then moved slowly between pixels.

The picture is kept as planes at the size of its closest view, so a frame samples it about one to
one; each frame is one affine transform a plane, and its motion is a smooth function of the time.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.render.clip import Undecodable
from pipeline.render.placement import Picture
from pipeline.render.planes import Bytes, Floats, Frame, planes_of

MOST_PIXELS = 64_000_000
"""A picture is decoded up to this size; a larger one is refused by what its header says."""
MOST_SIDE = 20_000
ZOOM_MOST, ZOOM_A_SECOND = 0.14, 0.018
PAN_MOST, PAN_A_SECOND = 0.25, 0.02
"""How far the view moves along what the frame cuts off, in parts of the frame's shorter side."""


@dataclass(frozen=True, slots=True)
class View:
    """A frame's window into a picture: its middle and width in pixels of the picture."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Motion:
    """From one view to another at an even pace, over `frames` frames."""

    start: View
    end: View
    frames: int

    def at(self, k: int) -> View:
        """The view in frame k. Zooming multiplies: so it seems even."""
        t = min(1.0, max(0.0, k / max(1, self.frames - 1)))
        a, b = self.start, self.end
        width = a.width * (b.width / a.width) ** t
        # Moving in step with the width keeps the point that is zoomed at in its place.
        s = (width - a.width) / (b.width - a.width) if abs(b.width - a.width) > 1e-9 else t
        return View(a.x + (b.x - a.x) * s, a.y + (b.y - a.y) * s, width)


class Still:
    """A still as the frames of its scene, counted from the scene's first."""

    def __init__(
        self, picture: Picture, width: int, height: int, shown: int, fps: int, seed: int
    ) -> None:
        seconds = shown / fps
        zoom = 1 + min(ZOOM_MOST, ZOOM_A_SECOND * seconds)
        whole = load(Path(picture.path), least=math.ceil(1.25 * max(width, height)))
        rgb, focus = _near(whole, picture.focus, width / height)
        scale = max(width / rgb.shape[1], height / rgb.shape[0]) * zoom
        self._planes, size = _scaled(rgb, scale, (width * zoom, height * zoom))
        self.motion = motion(size, focus, (width, height), zoom, seconds, shown, seed)
        self._width = width

    def draw(self, frame: Frame, k: int) -> None:
        """Fill a frame with the scene's frame k."""
        view = self.motion.at(k)
        step = view.width / self._width
        for source, target, part in zip(
            self._planes, (frame.y, frame.u, frame.v), (1.0, 0.5, 0.5), strict=True
        ):
            sample(source, target, view.x * part, view.y * part, step)

    def close(self) -> None:
        """Nothing is held open."""


def sample(source: Bytes, target: Bytes, x: float, y: float, step: float) -> None:
    """Fill `target` from the source around a point, `step` pixels of it for each one."""
    height, width = target.shape
    matrix = np.array(
        [
            [step, 0, x - 0.5 - step * (width - 1) / 2],
            [0, step, y - 0.5 - step * (height - 1) / 2],
        ],
        np.float64,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = cv2.warpAffine(
        source, matrix, (width, height), dst=target, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    if result is not target:
        target[:] = result


def motion(
    size: tuple[int, int],
    focus: tuple[float, float],
    window: tuple[int, int],
    zoom: float,
    seconds: float,
    frames: int,
    seed: int,
) -> Motion:
    """A slow push in or pull out by `zoom`, along what is cut off where there is much of it."""
    rng = np.random.default_rng(seed)
    (w, h), (fx, fy), (vw, vh) = size, focus, window
    wide = View(*_held(fx * w, fy * h, vw * zoom, size, vw / vh), vw * zoom)
    reach = min(PAN_MOST, PAN_A_SECOND * seconds) * min(window)
    angle = rng.uniform(0.15, 0.35) * (1 if rng.integers(2) else -1)
    along = (math.cos(angle), math.sin(angle)) if w / h > vw / vh else (angle, 1.0)
    sign = 1 if rng.integers(2) else -1
    target = (fx * w + sign * reach * along[0], fy * h + sign * reach * along[1])
    close = View(*_held(*target, float(vw), size, vw / vh), float(vw))
    inwards = bool(rng.integers(2))
    return Motion(wide, close, frames) if inwards else Motion(close, wide, frames)


def _held(
    x: float, y: float, width: float, size: tuple[int, int], aspect: float
) -> tuple[float, float]:
    """The middle of a view nearest to a point such that the view lies within the picture."""
    held = []
    for at, side, length in ((x, size[0], width), (y, size[1], width / aspect)):
        half = min(length / 2, side / 2)
        held.append(min(side - half, max(half, at)))
    return held[0], held[1]


def load(still: Path, *, least: int) -> Bytes:
    """Decode a still to RGB, upright; where that saves memory, at a size of `least` or more.

    Raises `Undecodable` before decoding what is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of what it would decode all the same
            with Image.open(still, formats=("JPEG", "PNG", "WEBP")) as image:
                if image.width * image.height > MOST_PIXELS or max(image.size) > MOST_SIDE:
                    raise Undecodable(
                        f"The still {still.name} is {image.width}x{image.height}: at most "
                        f"{MOST_PIXELS / 1e6:.0f} million pixels are decoded."
                    )
                image.draft("RGB", (least, least))  # JPEG only: decoded smaller
                upright = ImageOps.exif_transpose(image)
                return np.asarray(upright.convert("RGB"), np.uint8)
    except (UnidentifiedImageError, Image.DecompressionBombError, Warning) as error:
        raise Undecodable(f"The still {still.name} is no JPEG, PNG or WebP: {error}") from error
    except (SyntaxError, ValueError, EOFError) as error:
        raise Undecodable(f"The still {still.name} cannot be decoded: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the picture's
            raise
        raise Undecodable(f"The still {still.name} cannot be decoded: {error}") from error


def _near(
    rgb: Bytes, focus: tuple[float, float], aspect: float
) -> tuple[Bytes, tuple[float, float]]:
    """The part around the focus that a view can reach, and where the focus lies in it."""
    sides = (rgb.shape[1], rgb.shape[0])
    window = min(sides[0], sides[1] * aspect)
    spans, parts = [], []
    for side, view, point in zip(sides, (window, window / aspect), focus, strict=True):
        length = min(side, math.ceil(view * 1.7))
        first = min(side - length, max(0, round(point * side - length / 2)))
        spans.append(slice(first, first + length))
        parts.append((point * side - first) / length)
    return rgb[spans[1], spans[0]], (parts[0], parts[1])


def _scaled(
    rgb: Bytes, scale: float, least: tuple[float, float]
) -> tuple[tuple[Bytes, Bytes, Bytes], tuple[int, int]]:
    """Planes of the picture at a scale, and their size: even, and `least` at least."""
    width = 2 * math.ceil(max(least[0], rgb.shape[1] * scale) / 2)
    height = 2 * math.ceil(max(least[1], rgb.shape[0] * scale) / 2)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    sized = cv2.resize(rgb, (width, height), interpolation=way)
    y, u, v = (_bytes(plane) for plane in planes_of(np.asarray(sized, np.float32)))
    return (y, u, v), (width, height)


def _bytes(plane: Floats) -> Bytes:
    return np.asarray(np.clip(np.rint(plane), 0, 255), np.uint8)
