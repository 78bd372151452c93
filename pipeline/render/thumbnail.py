"""The thumbnail: 1280x720, a few words as large as they go, in the film's own look."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.render import blend, files, lettering
from pipeline.render.background import backdrop, glow_colour
from pipeline.render.layout import Box, Layout, layout_for
from pipeline.render.motif import motif
from pipeline.render.palette import BY_NAME, Palette
from pipeline.render.plan import Plan
from pipeline.render.planes import Canvas, Frame, Sprite, rounded_box
from pipeline.render.text import clean
from pipeline.render.typography import CAP_HEIGHT, Block, bidi_base, fit, mask, words_of

WIDTH, HEIGHT = 1280, 720
MOST_BYTES = 2_000_000  # YouTube's limit


def draw_thumbnail(plan: Plan, text: str, target: Path) -> None:
    """Draw and store the thumbnail; without a text it shows the title."""
    frame = thumbnail_frame(plan, clean(text) or plan.look.title)
    part = files.temporary(target)
    image = Image.fromarray(frame.rgb())
    for quality in (93, 85, 75, 60):
        image.save(part, "JPEG", quality=quality, subsampling=0, optimize=True)
        if part.stat().st_size <= MOST_BYTES:
            break
    files.keep(part, target)


def thumbnail_frame(plan: Plan, text: str) -> Frame:
    """The thumbnail as a picture."""
    palette, rtl = BY_NAME[plan.look.palette], bool(bidi_base(words_of(text)))
    layout = layout_for(WIDTH, HEIGHT, rtl=rtl)
    scene, u = plan.scenes[0], layout.u
    frame = Frame(WIDTH, HEIGHT)
    ground = palette.grounds[scene.ground]
    backdrop(layout, ground, scene.seed).draw(frame, scene.first, plan.look.fps)
    tint = glow_colour(palette, 0.5, ground)
    x = 0.9 * WIDTH
    ornament = motif(
        scene.motif,
        98 * u,
        (WIDTH - x if rtl else x, 0.5 * HEIGHT),
        tint,
        palette.accent,
        scene.seed + 2,
    )
    blend.lay(frame, ornament)
    blend.lay(frame, lettering.mark(plan.look.channel, palette, layout))
    blend.lay(frame, _headline(text, plan.look.title_face, palette, layout))
    bar = 2 * round(0.9 * u)
    blend.fill(frame, 0, HEIGHT - bar, WIDTH, HEIGHT, palette.accent)
    return frame


def _headline(text: str, face: str, palette: Palette, layout: Layout) -> Sprite:
    """The words, the last line of them on the accent's colour."""
    u = layout.u
    box = Box(0.075 * WIDTH, 17 * u, 0.82 * WIDTH, 92 * u)
    block = _largest(words_of(text), face, box, u)
    size = block.type.size
    leading = block.leading * 1.06
    canvas = Canvas(WIDTH, HEIGHT)
    height = size * CAP_HEIGHT + leading * (len(block.lines) - 1)
    top = box.centre[1] - height / 2
    for i, line in enumerate(block.lines):
        x = WIDTH - box.left - line.width if layout.rtl else box.left
        baseline = top + size * CAP_HEIGHT + i * leading
        last = i == len(block.lines) - 1 and len(block.lines) > 1
        if last:
            pad = size * 0.16
            tile = rounded_box(line.width + 2 * pad, size * 1.24, size * 0.14)
            middle = baseline - size * CAP_HEIGHT / 2
            x += -pad if layout.rtl else pad
            canvas.paint(tile, x - pad, middle - size * 0.58, palette.accent)
        colour = palette.on_accent if last else palette.text
        canvas.paint(mask(line, block.type), x, baseline, colour)
    return canvas.sprite(0, 0)


def _largest(words: tuple[str, ...], face: str, box: Box, u: float) -> Block:
    """The setting in one to four lines whose type is largest."""
    options = []
    for lines in (1, 2, 3, 4):
        largest = min(27 * u, box.height / (0.75 + 1.25 * (lines - 1)))
        block = fit(
            words,
            face,
            largest=largest,
            smallest=min(largest, 7 * u),
            width=box.width,
            max_lines=lines,
            tracking=-0.022,
        )
        options.append(block)
    return options[int(np.argmax([option.type.size for option in options]))]
