"""Type as sprites: headings by the line, labels, the channel's mark, figures."""

from dataclasses import dataclass

from pipeline.render.blend import BORDER
from pipeline.render.fonts import LABEL_FACE
from pipeline.render.layout import Box, Layout
from pipeline.render.palette import Palette, Rgb
from pipeline.render.planes import Canvas, Sprite, rounded_box, soft_shadow
from pipeline.render.typography import CAP_HEIGHT, Block, fit, mask, words_of


@dataclass(frozen=True, slots=True)
class HeadingLine:
    """One line of a heading and the frame rows that it rises out of."""

    sprite: Sprite
    rows: tuple[int, int]
    leading: float


@dataclass(frozen=True, slots=True)
class Heading:
    """A set heading: its lines, and the edges of its block."""

    lines: tuple[HeadingLine, ...]
    box: Box


def heading(
    text: str,
    face: str,
    box: Box,
    *,
    largest: float,
    smallest: float,
    max_lines: int,
    colour: Rgb,
    shadow: float,
    flush_right: bool = False,
) -> Heading:
    """Set a heading within `box`, its block's middle at the box's."""
    words, most = words_of(text), largest
    while True:
        block = fit(
            words,
            face,
            largest=most,
            smallest=smallest,
            width=box.width,
            max_lines=max_lines,
            tracking=-0.018,
        )
        if block.height <= box.height or block.type.size <= smallest:
            break
        most = max(smallest, block.type.size * 0.95)
    size = block.type.size
    top = box.centre[1] - block.height / 2
    lines = []
    for i, line in enumerate(block.lines):
        baseline = round(top + size * CAP_HEIGHT + i * block.leading)
        left = round(box.right - line.width if flush_right else box.left)
        sprite = _line_sprite(block, i, left, baseline, colour, shadow)
        rows = (_even(baseline - size * 1.08), _even(baseline + block.leading - size * 0.72))
        lines.append(HeadingLine(sprite, rows, block.leading))
    edge = box.right - block.width if flush_right else box.left
    return Heading(tuple(lines), Box(edge, top, edge + block.width, top + block.height))


def label(
    text: str,
    x: float,
    middle: float,
    size: float,
    colour: Rgb,
    *,
    width: float,
    face: str = LABEL_FACE,
    flush_right: bool = False,
    opacity: float = 1.0,
    tracking: float = 0.0,
) -> tuple[Sprite, float]:
    """One line of small type whose capitals are centred on `middle`; the sprite and its width."""
    block = fit(
        words_of(text),
        face,
        largest=size,
        smallest=size,
        width=width,
        max_lines=1,
        tracking=tracking,
    )
    left = x - block.width if flush_right else x
    baseline = round(middle + size * CAP_HEIGHT / 2)
    return _line_sprite(block, 0, round(left), baseline, colour, 0.0, opacity), block.width


def chip(
    text: str,
    x: float,
    middle: float,
    size: float,
    palette: Palette,
    *,
    width: float,
    flush_right: bool = False,
) -> tuple[Sprite, float]:
    """A label on a tile of the accent's colour, read on any picture; the sprite and its width."""
    pad = 0.62 * size
    block = fit(
        words_of(text),
        LABEL_FACE,
        largest=size,
        smallest=size,
        width=width - 2 * pad,
        max_lines=1,
        tracking=0.0,
    )
    across, high, edge = block.width + 2 * pad, 1.72 * size, 2 * BORDER
    canvas = Canvas(round(across) + 2 * edge, round(high) + 2 * edge)
    canvas.paint(rounded_box(across, high, high * 0.28), edge, edge, palette.accent)
    baseline = edge + high / 2 + block.type.size * CAP_HEIGHT / 2
    for line in block.lines:
        canvas.paint(mask(line, block.type), edge + pad, baseline, palette.on_accent)
    left = x - across if flush_right else x
    return canvas.sprite(round(left) - edge, round(middle - high / 2) - edge), across


def mark(name: str, palette: Palette, layout: Layout) -> Sprite:
    """The channel's mark: a tile with its first character, and its name beside it."""
    x, middle = layout.bug
    tile, size = 4.6 * layout.u, 2.7 * layout.u
    pad = 2 * BORDER
    block = fit(
        words_of(name), LABEL_FACE, largest=size, smallest=size, width=40 * layout.u, max_lines=1
    )
    initial = fit(
        words_of(name[:1].upper()),
        "Inter-ExtraBold.ttf",
        largest=size * 1.05,
        smallest=size * 0.5,
        width=tile,
        max_lines=1,
    )
    gap = 1.3 * layout.u
    name_width = block.width
    width = tile + gap + name_width
    canvas = Canvas(round(width) + 2 * pad, round(tile) + 2 * pad)
    tile_x = pad + (width - tile if layout.rtl else 0)
    canvas.paint(rounded_box(tile, tile, tile * 0.3), tile_x, pad, palette.accent)
    half = pad + tile / 2
    for line in initial.lines:
        baseline = half + initial.type.size * CAP_HEIGHT / 2
        centred = tile_x + (tile - line.width) / 2
        canvas.paint(mask(line, initial.type), centred, baseline, palette.on_accent)
    for line in block.lines:
        baseline = half + size * CAP_HEIGHT / 2
        name_x = pad if layout.rtl else pad + tile + gap
        canvas.paint(mask(line, block.type), name_x, baseline, palette.text, 0.92)
    return canvas.sprite(
        round(x - width if layout.rtl else x) - pad, round(middle - tile / 2) - pad
    )


def figure(
    text: str, face: str, palette: Palette, layout: Layout, *, boxed: bool = False
) -> Sprite:
    """A number, large, in the place of the scene's ornament; boxed, it is read on any picture."""
    block = fit(
        words_of(text),
        face,
        largest=(15 if boxed else 21) * layout.u,
        smallest=(6 if boxed else 8) * layout.u,
        width=layout.figure_width - (0.7 * 15 * layout.u if boxed else 0),
        max_lines=1,
        tracking=-0.03,
    )
    x, y = layout.motif
    left, baseline = round(x - block.width / 2), round(y + block.height / 2)
    if boxed:
        return _tile(block, x, y, palette)
    return _line_sprite(
        block, 0, left, baseline, palette.accent, 0.0 if palette.light else 1.8 * layout.u
    )


def _tile(block: Block, x: float, y: float, palette: Palette) -> Sprite:
    """One line in its middle on a tile of the accent's colour."""
    size, edge = block.type.size, 2 * BORDER
    across, high = block.width + 0.7 * size, block.height + 0.62 * size
    canvas = Canvas(round(across) + 2 * edge, round(high) + 2 * edge)
    canvas.paint(rounded_box(across, high, size * 0.16), edge, edge, palette.accent)
    left, baseline = edge + 0.35 * size, edge + (high + block.height) / 2
    canvas.paint(mask(block.lines[0], block.type), left, baseline, palette.on_accent)
    return canvas.sprite(round(x - canvas.width / 2), round(y - canvas.height / 2))


def _line_sprite(
    block: Block,
    index: int,
    left: int,
    baseline: int,
    colour: Rgb,
    shadow: float,
    opacity: float = 1.0,
) -> Sprite:
    line, type_ = block.lines[index], block.type
    shape = mask(line, type_)
    shade = soft_shadow(shape, shadow) if shadow else shape
    pad_x = -min(shade.left, shape.left) + BORDER
    pad_y = -min(shade.top, shape.top) + BORDER
    # The sprite's corner must be even, or it would be moved against its neighbours.
    pad_x += (left - pad_x) % 2
    pad_y += (baseline - pad_y) % 2
    height, width = shade.coverage.shape
    canvas = Canvas(pad_x + width + shade.left + BORDER, pad_y + height + shade.top + BORDER)
    if shadow:
        canvas.paint(shade, pad_x, pad_y, (0, 0, 0), 0.35)
    canvas.paint(shape, pad_x, pad_y, colour, opacity)
    return canvas.sprite(left - pad_x, baseline - pad_y)


def _even(value: float) -> int:
    return 2 * round(value / 2)
