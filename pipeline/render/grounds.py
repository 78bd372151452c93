"""What stands behind the type of a scene: a generated ground, or a clip or still below a veil."""

import math
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.domain import SectionKind
from pipeline.render import blend
from pipeline.render.background import backdrop, glow_colour
from pipeline.render.clip import Clip
from pipeline.render.layout import Box, Layout
from pipeline.render.motif import motif, speck
from pipeline.render.palette import Palette
from pipeline.render.placement import Picture
from pipeline.render.plan import DISSOLVE_SECONDS, Look, Scene
from pipeline.render.planes import Frame, Sprite
from pipeline.render.still import Still
from pipeline.render.veil import veil


class Ground(Protocol):
    """Fills a frame before anything else does."""

    def draw(self, frame: Frame, n: int, hush: float) -> None:
        """Fill a frame with frame n; `hush` is how far ornaments make room for a figure."""

    def close(self) -> None:
        """End what was started for drawing; drawing on starts it anew."""


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
        """See `Ground`."""
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


class FootageGround:
    """A clip or still, darkened where type stands on it so that it is read on any picture."""

    def __init__(
        self,
        scene: Scene,
        picture: Picture,
        look: Look,
        palette: Palette,
        heading: Box | None,
        mark: Box,
        ffmpeg: Path | None,
    ) -> None:
        self._first = scene.first
        self._picture: Clip | Still
        if not picture.is_video:
            shown = scene.last - scene.first + math.ceil(DISSOLVE_SECONDS * look.fps)
            self._picture = Still(picture, look.width, look.height, shown, look.fps, scene.seed)
        elif ffmpeg is None:
            raise ValueError("A plan with clips is drawn with an ffmpeg to decode them.")
        else:
            self._picture = Clip(picture, look, ffmpeg)
        self._veil: Sprite = veil(look.width, look.height, heading, mark, palette.box, scene.seed)

    def draw(self, frame: Frame, n: int, hush: float) -> None:
        """See `Ground`; nothing here needs to be hushed."""
        self._picture.draw(frame, n - self._first)
        blend.lay(frame, self._veil)

    def close(self) -> None:
        """See `Ground`."""
        self._picture.close()


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
