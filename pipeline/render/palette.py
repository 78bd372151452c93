"""Designed colour families. A film takes one of them; its scenes take the family's grounds in turn.

Colours are sRGB bytes. In every family `text` on any ground, `box_text` on `box` and `on_accent` on
`accent` reach a WCAG contrast of at least 4.5 (a test computes them).
"""

from dataclasses import dataclass, replace
from typing import Self

Rgb = tuple[int, int, int]


def _rgb(code: str) -> Rgb:
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


@dataclass(frozen=True, slots=True)
class Ground:
    """The colours of one background: two ends of its gradient and two glows upon it."""

    start: Rgb
    end: Rgb
    glow: Rgb
    second_glow: Rgb


@dataclass(frozen=True, slots=True)
class Palette:
    """One family. `light` says that its type is dark on a bright ground."""

    name: str
    grounds: tuple[Ground, ...]
    text: Rgb
    accent: Rgb
    on_accent: Rgb
    box: Rgb
    box_text: Rgb
    light: bool = False

    def over_footage(self) -> Self:
        """The family on clips and stills, which are darkened for it: bright type, always."""
        return replace(self, text=self.box_text, light=False)


def _ground(start: str, end: str, glow: str, second_glow: str) -> Ground:
    return Ground(_rgb(start), _rgb(end), _rgb(glow), _rgb(second_glow))


PALETTES: tuple[Palette, ...] = (
    Palette(
        "midnight coral",
        (
            _ground("0b1030", "252a6b", "5a3fae", "1a5fa8"),
            _ground("0d1238", "1d3b78", "2f6fb5", "5b3a9c"),
            _ground("150f33", "43286f", "8a3a86", "2b3c9a"),
            _ground("0a1330", "16446e", "1f7f97", "3d3a9e"),
        ),
        text=_rgb("fdf8f2"),
        accent=_rgb("ff8a6b"),
        on_accent=_rgb("1a0f2b"),
        box=_rgb("0a0d26"),
        box_text=_rgb("fdf8f2"),
    ),
    Palette(
        "forest brass",
        (
            _ground("06201d", "10504a", "1f7a5c", "0f5a6b"),
            _ground("0a2420", "1f5a3d", "4a7a34", "0f6a62"),
            _ground("07262b", "125563", "1b7f7a", "2a5e3e"),
            _ground("10231a", "2e5436", "6a7a2c", "146052"),
        ),
        text=_rgb("fbf7ea"),
        accent=_rgb("f4bd4f"),
        on_accent=_rgb("1c1503"),
        box=_rgb("051714"),
        box_text=_rgb("fbf7ea"),
    ),
    Palette(
        "plum mint",
        (
            _ground("1d0b30", "541c6b", "8f2f86", "3a2ba0"),
            _ground("230b2e", "6a1f5a", "a8365f", "4b2a9a"),
            _ground("160d38", "3d2380", "6b3fb8", "1f5aa0"),
            _ground("260c2a", "5c1f63", "7a2f9c", "9c3a5e"),
        ),
        text=_rgb("fbf5ff"),
        accent=_rgb("63f0c4"),
        on_accent=_rgb("0d1f1d"),
        box=_rgb("150722"),
        box_text=_rgb("fbf5ff"),
    ),
    Palette(
        "ocean tangerine",
        (
            _ground("04202f", "0c5574", "148297", "1a4f9a"),
            _ground("061b33", "144a80", "1f72a8", "0f7a86"),
            _ground("052a30", "0f5f66", "1a8a7e", "14609a"),
            _ground("081c2b", "1d4768", "2a6b94", "146a70"),
        ),
        text=_rgb("f5fbff"),
        accent=_rgb("ffa54a"),
        on_accent=_rgb("231200"),
        box=_rgb("03151f"),
        box_text=_rgb("f5fbff"),
    ),
    Palette(
        "graphite lime",
        (
            _ground("111417", "31383f", "4b565f", "2a4a52"),
            _ground("121613", "303b34", "4a5c4c", "2c4652"),
            _ground("14151a", "353845", "50546a", "2b4a56"),
            _ground("101517", "2a3b40", "3d5b60", "454a56"),
        ),
        text=_rgb("f7f9f4"),
        accent=_rgb("c9f253"),
        on_accent=_rgb("161c05"),
        box=_rgb("0b0d0f"),
        box_text=_rgb("f7f9f4"),
    ),
    Palette(
        "paper vermilion",
        (
            _ground("f8f1e4", "ecdcc3", "f6cfae", "e6dcc9"),
            _ground("f4efe6", "dfdccb", "e8d4b0", "cfd9cc"),
            _ground("f9efe6", "edd3c2", "f3bfa6", "e9dcc6"),
            _ground("f2f0ea", "d6dadb", "d9cfc0", "c4d3d8"),
        ),
        text=_rgb("221c1a"),
        accent=_rgb("b92f14"),
        on_accent=_rgb("fff8f0"),
        box=_rgb("241d1b"),
        box_text=_rgb("fbf4ea"),
        light=True,
    ),
)

BY_NAME = {palette.name: palette for palette in PALETTES}
