"""Ornaments: one geometric drawing a scene, in tints of its palette, afloat over the ground."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from pipeline.render.blend import BORDER
from pipeline.render.palette import Rgb
from pipeline.render.planes import Canvas, Floats, Mask, Sprite, disc

# Drawn this much larger and reduced: smoother than OpenCV's own anti-aliasing.
_OVERSAMPLING = 3
_Shape = tuple[Floats, Rgb, float]
"""Coverage, colour and opacity of one layer of a motif."""


def motif(
    name: str, diameter: float, centre: tuple[float, float], tint: Rgb, accent: Rgb, seed: int
) -> Sprite:
    """The ornament `name` of `pipeline.render.plan.MOTIFS` as a sprite around `centre`."""
    side = 2 * math.ceil(diameter / 2) + 4 * BORDER
    canvas = Canvas(side, side)
    rng = np.random.default_rng(seed)
    for coverage, colour, opacity in _DRAWINGS[name](side, diameter / 2, rng, tint, accent):
        canvas.paint(Mask(coverage, 0, 0), 0, 0, colour, opacity)
    return canvas.sprite(round(centre[0] - side / 2), round(centre[1] - side / 2))


def speck(radius: float, colour: Rgb, opacity: float, softness: float) -> Sprite:
    """A round dot at the frame's origin, to be laid drifting."""
    shape = disc(radius, softness)
    side = shape.coverage.shape[0] + 2 * BORDER
    canvas = Canvas(side, side)
    canvas.paint(shape, -shape.left + BORDER, -shape.top + BORDER, colour, opacity)
    return canvas.sprite(-(side // 2), -(side // 2))


class _Pen:
    """Strokes on an oversampled plane, lengths in the motif's pixels from its middle."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._plane = np.zeros((side * _OVERSAMPLING, side * _OVERSAMPLING), np.uint8)

    def _point(self, x: float, y: float) -> tuple[int, int]:
        scale = _OVERSAMPLING
        return round((self._side / 2 + x) * scale), round((self._side / 2 + y) * scale)

    def _weight(self, width: float) -> int:
        return max(1, round(width * _OVERSAMPLING))

    def arc(self, radius: float, width: float, start: float = 0, end: float = 360) -> None:
        reach = round(radius * _OVERSAMPLING)
        cv2.ellipse(
            self._plane, self._point(0, 0), (reach, reach), 0, start, end, 255, self._weight(width)
        )

    def dot(self, x: float, y: float, radius: float) -> None:
        cv2.circle(self._plane, self._point(x, y), max(1, round(radius * _OVERSAMPLING)), 255, -1)

    def path(self, points: list[tuple[float, float]], width: float, *, closed: bool) -> None:
        outline = np.array([self._point(x, y) for x, y in points], np.int32)
        cv2.polylines(self._plane, [outline], closed, 255, self._weight(width))

    def area(self, points: list[tuple[float, float]]) -> None:
        outline = np.array([self._point(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self._plane, [outline], 255)

    def coverage(self) -> Floats:
        """What was drawn, reduced."""
        small = cv2.resize(self._plane, (self._side, self._side), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255.0


def _rings(
    side: int, radius: float, rng: np.random.Generator, tint: Rgb, accent: Rgb
) -> list[_Shape]:
    lines, ticks, bright = _Pen(side), _Pen(side), _Pen(side)
    hair = max(1.0, radius * 0.006)
    for share in (0.36, 0.52, 0.68, 0.84):
        lines.arc(radius * share, hair * 1.4)
    for i in range(72):
        a = i * math.pi / 36
        inner = 0.93 if i % 6 else 0.90
        points = [
            (math.cos(a) * radius * inner, math.sin(a) * radius * inner),
            (math.cos(a) * radius * 0.97, math.sin(a) * radius * 0.97),
        ]
        ticks.path(points, hair * (1.2 if i % 6 else 2.4), closed=False)
    for share, weight in ((0.52, 7.0), (0.84, 5.0)):
        start = float(rng.uniform(0, 360))
        bright.arc(radius * share, hair * weight, start, start + float(rng.uniform(50, 110)))
    return [
        (lines.coverage(), tint, 0.75),
        (ticks.coverage(), tint, 0.8),
        (bright.coverage(), accent, 0.9),
    ]


def _dots(
    side: int, radius: float, rng: np.random.Generator, tint: Rgb, accent: Rgb
) -> list[_Shape]:
    field, lit = _Pen(side), _Pen(side)
    step = radius / 11
    angle = float(rng.uniform(0, 2 * math.pi))
    light = (math.cos(angle) * 0.45, math.sin(angle) * 0.45)
    for row in range(-12, 13):
        for column in range(-12, 13):
            x = (column + 0.5 * (row % 2)) * step
            y = row * step * 0.866
            if math.hypot(x, y) > radius * 0.95:
                continue
            near = math.hypot(x / radius - light[0], y / radius - light[1])
            size = step * (0.42 - 0.3 * min(1.0, near / 1.3))
            (lit if near < 0.32 else field).dot(x, y, max(size, step * 0.07))
    return [(field.coverage(), tint, 0.8), (lit.coverage(), accent, 0.92)]


def _waves(
    side: int, radius: float, rng: np.random.Generator, tint: Rgb, accent: Rgb
) -> list[_Shape]:
    lines, bright = _Pen(side), _Pen(side)
    hair = max(1.0, radius * 0.008)
    phase, pitch = float(rng.uniform(0, 6)), float(rng.uniform(1.1, 1.7))
    chosen = int(rng.integers(8, 15))
    for i in range(23):
        y = (i - 11) / 11.5 * radius * 0.95
        half = math.sqrt(max(0.0, (radius * 0.96) ** 2 - y * y))
        points = []
        for k in range(81):
            x = -half + 2 * half * k / 80
            swell = math.exp(-((x / radius) ** 2) * 3.2) * (1 - abs(y) / radius)
            points.append(
                (
                    x,
                    y
                    - radius * 0.2 * swell * math.sin(pitch * i * 0.42 + phase + 5.2 * x / radius),
                )
            )
        pen = bright if i == chosen else lines
        pen.path(points, hair * (3.2 if i == chosen else 1.5), closed=False)
    return [(lines.coverage(), tint, 0.8), (bright.coverage(), accent, 0.95)]


def _arcs(
    side: int, radius: float, rng: np.random.Generator, tint: Rgb, accent: Rgb
) -> list[_Shape]:
    plain, faint, bright = _Pen(side), _Pen(side), _Pen(side)
    cell = radius * 0.44
    chosen = {int(i) for i in rng.choice(16, 3, replace=False)}
    for i in range(16):
        x0 = (i % 4 - 2) * cell
        y0 = (i // 4 - 2) * cell
        corner = int(rng.integers(4))
        inset = cell * 0.02
        cx = x0 + (cell - inset if corner % 2 else inset)
        cy = y0 + (cell - inset if corner // 2 else inset)
        sx, sy = (1 if corner % 2 == 0 else -1), (1 if corner // 2 == 0 else -1)
        quarter = [
            (cx + sx * cell * 0.96 * math.cos(a), cy + sy * cell * 0.96 * math.sin(a))
            for a in np.linspace(0, math.pi / 2, 40)
        ]
        pen = bright if i in chosen else plain if rng.random() < 0.5 else faint
        pen.area([(cx, cy), *quarter])
    return [
        (faint.coverage(), tint, 0.3),
        (plain.coverage(), tint, 0.65),
        (bright.coverage(), accent, 0.9),
    ]


def _facets(
    side: int, radius: float, rng: np.random.Generator, tint: Rgb, accent: Rgb
) -> list[_Shape]:
    lines, faces, bright = _Pen(side), _Pen(side), _Pen(side)
    hair = max(1.0, radius * 0.007)
    spin = float(rng.uniform(0, math.pi / 3))
    shells = [
        [
            (
                radius * share * math.cos(spin + turn + k * math.pi / 3),
                radius * share * math.sin(spin + turn + k * math.pi / 3),
            )
            for k in range(6)
        ]
        for share, turn in ((0.96, 0.0), (0.66, math.pi / 6), (0.33, 0.0))
    ]
    for outer, inner in ((shells[0], shells[1]), (shells[1], shells[2])):
        for k in range(6):
            lines.path(
                [outer[k], inner[k], outer[(k + 1) % 6], inner[k - 1]], hair * 1.4, closed=False
            )
            if rng.random() < 0.4:
                faces.area([outer[k], inner[k], outer[(k + 1) % 6]])
    for shell in shells:
        lines.path(shell, hair * 1.6, closed=True)
    k = int(rng.integers(6))
    bright.area([shells[1][k], shells[2][k], shells[1][(k + 1) % 6]])
    bright.area([shells[0][k - 2], shells[1][k - 2], shells[0][k - 1]])
    return [
        (faces.coverage(), tint, 0.28),
        (lines.coverage(), tint, 0.8),
        (bright.coverage(), accent, 0.85),
    ]


_DRAWINGS: dict[str, Callable[[int, float, np.random.Generator, Rgb, Rgb], list[_Shape]]] = {
    "rings": _rings,
    "dots": _dots,
    "waves": _waves,
    "arcs": _arcs,
    "facets": _facets,
}
