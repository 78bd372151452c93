"""What stands behind the type of a scene: a generated ground with what floats on it."""

import math

import numpy as np

from pipeline.domain import SectionKind
from pipeline.render import blend
from pipeline.render.background import backdrop, glow_colour
from pipeline.render.layout import Layout
from pipeline.render.motif import motif, speck
from pipeline.render.palette import Palette
from pipeline.render.plan import Scene
from pipeline.render.planes import Frame


class GeneratedGround:
    """A drifting gradient with specks, an ornament and the dots that circle it."""

    def __init__(self, scene: Scene, fps: int, layout: Layout, palette: Palette) -> None:
        self._fps, self._layout = fps, layout
        ground = palette.grounds[scene.ground]
        self._backdrop = backdrop(layout, ground, scene.seed)
        rng = np.random.default_rng(scene.seed + 1)
        tint = glow_colour(palette, 0.42 if palette.light else 0.34, ground)
        self._centre, diameter = _place(layout, hook=scene.kind is SectionKind.HOOK)
        self._radius = diameter / 2
        self._motif = motif(
            scene.motif, diameter, self._centre, tint, palette.accent, scene.seed + 2
        )
        rng.uniform(0, 2 * math.pi)  # a look that films already have hangs on this draw
        light = (255, 255, 255) if not palette.light else palette.accent
        self._specks = [
            (
                speck(r * layout.u, light, o, r * layout.u * 0.9),
                rng.uniform(0, layout.width),
                rng.uniform(0, layout.height),
                rng.uniform(0.8, 2.4) * layout.u,
                rng.uniform(0, 6.28),
                r * layout.u,
            )
            for r, o in zip(rng.uniform(0.35, 2.6, 7), rng.uniform(0.05, 0.15, 7), strict=True)
        ]
        self._planets = [
            (speck(r * layout.u, palette.accent, 0.95, 1.4), share, rng.uniform(0, 6.28), speed)
            for r, share, speed in ((1.15, 0.52, 0.30), (0.75, 0.84, -0.17), (0.6, 1.04, 0.11))
        ]

    def draw(self, frame: Frame, n: int, hush: float) -> None:
        """Fill a frame; the ornament fades by `hush`, to make room for what is shown on it."""
        self._backdrop.draw(frame, n, self._fps)
        seconds, u = n / self._fps, self._layout.u
        for sprite, x, y, speed, phase, radius in self._specks:
            span = self._layout.height + 4 * radius
            lift = (y - speed * seconds) % span - 2 * radius
            sway = math.sin(seconds * 0.5 + phase) * 1.5 * u
            blend.lay_drifting(frame, sprite, x + sway, lift)
        dx, dy = self._backdrop.drift.at(n, self._fps)
        # Nearer things move farther, and against the ground: parallax.
        shift = (-0.55 * dx, -0.55 * dy)
        blend.lay_drifting(frame, self._motif, *shift, 1 - 0.86 * hush)
        for sprite, share, phase, speed in self._planets:
            angle = phase + speed * seconds
            blend.lay_drifting(
                frame,
                sprite,
                self._centre[0] + shift[0] + math.cos(angle) * self._radius * share,
                self._centre[1] + shift[1] + math.sin(angle) * self._radius * share,
                1 - 0.7 * hush,
            )

    def close(self) -> None:
        """Nothing is held open."""


def _place(layout: Layout, *, hook: bool) -> tuple[tuple[float, float], float]:
    """The ornament's centre and diameter."""
    centre, diameter = layout.motif, 62 * layout.u
    if hook and layout.width > layout.height:
        centre, diameter = (0.87 * layout.width, 0.42 * layout.height), 78 * layout.u
    elif hook:
        centre, diameter = (0.84 * layout.width, 0.575 * layout.height), 72 * layout.u
    if hook and layout.rtl:
        centre = (layout.width - centre[0], centre[1])
    return centre, diameter
