"""Pictures in memory: frames as I420 planes, and sprites that are blended into them.

A frame is one contiguous buffer (all luma, then both quarter-size chroma planes), the layout that
the encoder reads, so that a drawn frame is written without a copy. Colours are BT.709 in the
limited range. Composing happens once, in floating point RGB; what happens for every frame is
8-bit multiply and add inside a sprite's box.
"""

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.render.palette import Rgb

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Luma weights of BT.709, and what scales its colour differences into a byte's limited range.
_KR, _KG, _KB = 0.2126, 0.7152, 0.0722
_LUMA_RANGE, _CHROMA_RANGE = 219.0 / 255.0, 224.0 / 255.0
_TO_YUV = np.array(
    [
        [_KR * _LUMA_RANGE, _KG * _LUMA_RANGE, _KB * _LUMA_RANGE],
        [
            -_KR / (2 * (1 - _KB)) * _CHROMA_RANGE,
            -_KG / (2 * (1 - _KB)) * _CHROMA_RANGE,
            0.5 * _CHROMA_RANGE,
        ],
        [
            0.5 * _CHROMA_RANGE,
            -_KG / (2 * (1 - _KR)) * _CHROMA_RANGE,
            -_KB / (2 * (1 - _KR)) * _CHROMA_RANGE,
        ],
    ],
    np.float32,
)
_OFFSETS = np.array([16.0, 128.0, 128.0], np.float32)


@dataclass(frozen=True, slots=True)
class Mask:
    """Coverage 0..1 of a shape; `left` and `top` place it relative to the shape's origin."""

    coverage: Floats
    left: int
    top: int


class Frame:
    """One I420 picture of even width and height; `y`, `u` and `v` are views of `buffer`."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        luma, chroma = width * height, width * height // 4
        self.buffer: Bytes = np.empty(luma + 2 * chroma, np.uint8)
        self.y = self.buffer[:luma].reshape(height, width)
        self.u = self.buffer[luma : luma + chroma].reshape(height // 2, width // 2)
        self.v = self.buffer[luma + chroma :].reshape(height // 2, width // 2)

    def rgb(self) -> Bytes:
        """The picture as RGB bytes, for looking at."""
        half = (self.width, self.height)
        planes = [self.y] + [
            cv2.resize(p, half, interpolation=cv2.INTER_LINEAR) for p in (self.u, self.v)
        ]
        yuv = np.stack(planes, axis=-1).astype(np.float32) - _OFFSETS
        rgb = yuv @ np.linalg.inv(_TO_YUV).T
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def yuv_of(colour: Rgb) -> tuple[float, float, float]:
    """A colour's three values in a frame's planes."""
    y, u, v = _TO_YUV @ np.array(colour, np.float32) + _OFFSETS
    return float(y), float(u), float(v)


def planes_of(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """An RGB picture (0..255, even sides) as full-size luma and quarter-size chroma."""
    y = rgb @ _TO_YUV[0] + _OFFSETS[0]
    small = cv2.resize(
        rgb, (rgb.shape[1] // 2, rgb.shape[0] // 2), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    return y, small @ _TO_YUV[1] + _OFFSETS[1], small @ _TO_YUV[2] + _OFFSETS[2]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A translucent picture at an even place of the frame: premultiplied planes and what remains.

    `keep_*` is 255 times (1 - alpha). Half the size for chroma.
    """

    x: int
    y: int
    keep_luma: Bytes
    keep_chroma: Bytes
    luma: Bytes
    u: Bytes
    v: Bytes

    @property
    def width(self) -> int:
        return int(self.luma.shape[1])

    @property
    def height(self) -> int:
        return int(self.luma.shape[0])

    def moved(self, dx: int, dy: int) -> Self:
        """The same picture elsewhere, by even distances."""
        return type(self)(
            self.x + dx, self.y + dy, self.keep_luma, self.keep_chroma, self.luma, self.u, self.v
        )


class Canvas:
    """A transparent picture to compose a sprite on: premultiplied RGBA planes in floating point."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width + width % 2, height + height % 2
        self.planes: Floats = np.zeros((4, self.height, self.width), np.float32)

    def paint(self, shape: Mask, x: float, y: float, colour: Rgb, opacity: float = 1.0) -> None:
        """Lay a shape in one colour over what is there; what lies outside is cut off."""
        left, top = round(x) + shape.left, round(y) + shape.top
        height, width = shape.coverage.shape
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(self.width, left + width), min(self.height, top + height)
        if x0 >= x1 or y0 >= y1:
            return
        alpha = shape.coverage[y0 - top : y1 - top, x0 - left : x1 - left] * np.float32(opacity)
        keep = 1 - alpha
        for plane, value in zip(self.planes, (*colour, 255), strict=True):
            part = plane[y0:y1, x0:x1]
            part *= keep
            part += alpha * np.float32(value)

    def sprite(self, x: int, y: int) -> Sprite:
        """What was painted, placed in a frame; odd places are rounded to even ones."""
        red, green, blue, alpha = self.planes
        y_plane, u_plane, v_plane = (
            weights[0] * red + weights[1] * green + weights[2] * blue + offset / 255 * alpha
            for weights, offset in zip(_TO_YUV, _OFFSETS, strict=True)
        )
        return Sprite(
            x - x % 2,
            y - y % 2,
            _bytes(255 - alpha),
            _bytes(255 - _halved(alpha)),
            _bytes(y_plane),
            _bytes(_halved(u_plane)),
            _bytes(_halved(v_plane)),
        )


def rounded_box(width: float, height: float, radius: float) -> Mask:
    """An anti-aliased box with round corners whose origin is its top left corner."""
    w, h = int(np.ceil(width)), int(np.ceil(height))
    xs = np.abs(np.arange(w, dtype=np.float32) + 0.5 - width / 2) - (width / 2 - radius)
    ys = np.abs(np.arange(h, dtype=np.float32) + 0.5 - height / 2) - (height / 2 - radius)
    outside = np.hypot(np.maximum(xs, 0)[None, :], np.maximum(ys, 0)[:, None])
    inside = np.minimum(np.maximum(xs[None, :], ys[:, None]), 0)
    return Mask(np.clip(0.5 - (outside + inside - radius), 0, 1).astype(np.float32), 0, 0)


def disc(radius: float, softness: float = 1.0) -> Mask:
    """A disc around its origin whose edge fades over `softness` pixels."""
    reach = int(np.ceil(radius + softness)) + 1
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    distance = np.hypot(axis[None, :], axis[:, None])
    coverage = np.clip((radius + softness / 2 - distance) / softness, 0, 1)
    return Mask((coverage * coverage * (3 - 2 * coverage)).astype(np.float32), -reach, -reach)


def soft_shadow(shape: Mask, blur: float) -> Mask:
    """A shape's blurred shadow, grown by the blur's reach."""
    reach = int(np.ceil(blur * 2.5))
    grown = cv2.copyMakeBorder(
        shape.coverage, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=(0.0,)
    )
    blurred = cv2.GaussianBlur(grown, (0, 0), blur).astype(np.float32)
    return Mask(blurred, shape.left - reach, shape.top - reach)


def _halved(plane: NDArray[Any]) -> Floats:
    """Each two by two pixels averaged: where chroma samples are taken."""
    half = (plane.shape[1] // 2, plane.shape[0] // 2)
    return np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.float32)


def _bytes(values: NDArray[Any]) -> Bytes:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
