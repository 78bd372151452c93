"""Burned-in captions: one sprite for each state of a cue, drawn once, with the spoken word lit."""

from functools import lru_cache

from pipeline.render.blend import BORDER
from pipeline.render.fonts import CAPTION_FACE
from pipeline.render.layout import Layout
from pipeline.render.palette import Palette
from pipeline.render.plan import TimedCue
from pipeline.render.planes import Canvas, Mask, Sprite, rounded_box
from pipeline.render.typography import CAP_HEIGHT, Block, fit, mask

UPCOMING_OPACITY = 0.62
BOX_OPACITY = 0.84


class CaptionArtist:
    """Draws the cues of one film. The last states are kept, for most frames repeat them."""

    def __init__(self, layout: Layout, palette: Palette, *, max_lines: int = 2) -> None:
        self._layout = layout
        self._palette = palette
        self._max_lines = max_lines
        self.set = lru_cache(maxsize=4)(self._set)
        self.sprite = lru_cache(maxsize=4)(self._sprite)

    def _set(self, words: tuple[str, ...]) -> Block:
        """A cue's words as lines."""
        return fit(
            words,
            CAPTION_FACE,
            largest=self._layout.caption_size,
            smallest=self._layout.caption_size * 0.5,
            width=self._layout.caption_width - 2 * self._padding,
            max_lines=self._max_lines,
            gap=0.12,
        )

    @property
    def _padding(self) -> float:
        return 0.46 * self._layout.caption_size

    def _sprite(self, cue: TimedCue, active: int | None) -> Sprite:
        """A cue with word `active` lit: those before it bright, those after it dimmed."""
        layout, palette = self._layout, self._palette
        block = self.set(tuple(word.text for word in cue.words))
        size, pad = block.type.size, self._padding
        leading = block.leading * 1.22
        text_height = size * CAP_HEIGHT + leading * (len(block.lines) - 1)
        width, height = block.width + 2 * pad, text_height + 2 * pad
        edge = 2 * BORDER
        canvas = Canvas(round(width) + 2 * edge, round(height) + 2 * edge)
        canvas.paint(rounded_box(width, height, pad * 0.9), edge, edge, palette.box, BOX_OPACITY)
        lit = -1 if active is None else active
        for i, line in enumerate(block.lines):
            x = edge + (width - line.width) / 2
            y = edge + (height - text_height) / 2 + size * CAP_HEIGHT + i * leading
            for box in line.boxes:
                if box.word == active:
                    pill = _pill(box.right - box.left, size)
                    left = x + (box.left + box.right) / 2 - pill.coverage.shape[1] / 2
                    top = y - size * CAP_HEIGHT / 2 - pill.coverage.shape[0] / 2
                    canvas.paint(pill, left, top, palette.accent)
            for words, colour, opacity in (
                (range(lit), palette.box_text, 1.0),
                ((lit,), palette.on_accent, 1.0),
                (range(lit + 1, len(cue.words)), palette.box_text, UPCOMING_OPACITY),
            ):
                if any(box.word in words for box in line.boxes):
                    canvas.paint(mask(line, block.type, words), x, y, colour, opacity)
        cx, cy = layout.caption_middle
        return canvas.sprite(round(cx - canvas.width / 2), round(cy - canvas.height / 2))


def _pill(word_width: float, size: float) -> Mask:
    height = size * 1.34
    return rounded_box(word_width + size * 0.36, height, height * 0.26)
