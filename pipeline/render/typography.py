"""Setting type: words become lines of placed glyphs, lines become coverage masks.

HarfBuzz shapes and rasterises, with faces that ship with us; no font or library of the system takes
part. Lengths are pixels as floats, y grows downwards, a line's origin is its baseline's left end.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import uharfbuzz as hb

from pipeline.render import bidi
from pipeline.render.fonts import UNITS_PER_PIXEL, face_for, sized_font
from pipeline.render.planes import Mask
from pipeline.render.text import Token, clean, clusters, tokens

CAP_HEIGHT = 0.727  # of the em: Inter's, from which the others differ by less than a percent
ELLIPSIS = "…"
_TALL_FACES = ("NotoSansArabic", "NotoSansDevanagari", "NotoSansThai", "NotoSansSC", "NotoSansKR")


@dataclass(frozen=True, slots=True)
class Type:
    """A face of `pipeline.render.fonts` at a size in pixels.

    `tracking` (between letters) and `gap` (added to each space) are in em.
    """

    face: str
    size: float
    tracking: float = 0.0
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Glyph:
    """One glyph at its place in a line; `word` is the word it is part of, -1 for an ellipsis."""

    face: str
    gid: int
    x: float
    y: float
    word: int


@dataclass(frozen=True, slots=True)
class WordBox:
    """Where a word, or the part of it on this line, stands."""

    word: int
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Line:
    """One set line."""

    glyphs: tuple[Glyph, ...]
    boxes: tuple[WordBox, ...]
    width: float


@dataclass(frozen=True, slots=True)
class Block:
    """Set lines with the distance of their baselines."""

    type: Type
    lines: tuple[Line, ...]
    leading: float

    @property
    def width(self) -> float:
        return max((line.width for line in self.lines), default=0.0)

    @property
    def height(self) -> float:
        """From the first line's cap height to the last baseline."""
        return self.type.size * CAP_HEIGHT + self.leading * max(0, len(self.lines) - 1)


def fit(
    words: tuple[str, ...],
    face: str,
    *,
    largest: float,
    smallest: float,
    width: float,
    max_lines: int,
    tracking: float = 0.0,
    gap: float = 0.0,
) -> Block:
    """Set words as large as they fit into `max_lines` of `width`, balanced.

    A word is cut only where the smallest size still leaves it wider than a line. A text too long
    even for the smallest size ends in an ellipsis; it never overflows.
    """
    size = largest
    while True:
        type_ = Type(face, size, tracking, gap)
        lines = _break(words, type_, width)
        uncut = all(_advance(token.text, type_) <= width for token in tokens(words))
        fits = len(lines) <= max_lines and max(map(len, lines), default=0) > 0
        if fits and (uncut or size <= smallest):
            widest = max(_set_line(line, type_, bidi_base(words)).width for line in lines)
            if widest <= width:
                return _block(_balance(words, type_, width, len(lines)), type_, words)
        if size <= smallest:
            return _block(_ellipsise(lines, type_, width, max_lines, words), type_, words)
        size = max(smallest, size * 0.95)


def bidi_base(words: tuple[str, ...]) -> int:
    """The base direction of a text: 1 for right to left."""
    return bidi.base_level(" ".join(words))


def mask(line: Line, type_: Type, words: Collection[int] | None = None) -> Mask:
    """The coverage of a line's glyphs (of some words only, when told).

    The mask's origin is the line's: its left end on the baseline.
    """
    pad = int(np.ceil(type_.size * 0.25))
    above = int(np.ceil(type_.size * 1.25))
    below = int(np.ceil(type_.size * 0.75))
    width = int(np.ceil(line.width)) + 2 * pad
    draw = hb.RasterDraw()
    draw.scale_factor = (UNITS_PER_PIXEL, UNITS_PER_PIXEL)
    draw.extents = hb.RasterExtents(
        x_origin=-pad, y_origin=-below, width=width, height=above + below, stride=0
    )
    for glyph in line.glyphs:
        if words is None or glyph.word in words:
            x, y = glyph.x * UNITS_PER_PIXEL, -glyph.y * UNITS_PER_PIXEL
            draw.transform = (1.0, 0.0, 0.0, 1.0, x, y)
            draw.draw_glyph(sized_font(glyph.face, type_.size), glyph.gid)
    image = draw.render()
    if image is None:
        msg = f"HarfBuzz could not rasterise a line of {len(line.glyphs)} glyphs at {type_.size} px"
        raise MemoryError(msg)
    rows = np.frombuffer(image.buffer, np.uint8).reshape(above + below, image.extents.stride)
    columns = np.flatnonzero(rows[:, :width].max(axis=0))
    first, last = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 1)
    coverage = rows[::-1, first:last].astype(np.float32) / 255.0
    return Mask(coverage, left=first - pad, top=-above)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a cleaned text."""
    return tuple(clean(text).split())


def _break(words: tuple[str, ...], type_: Type, width: float) -> list[list[Token]]:
    """Greedy lines; a token wider than a line is cut between its characters."""
    lines: list[list[Token]] = [[]]
    room = width
    for token in _cut_wide(tokens(words), type_, width):
        advance = _advance(token.text, type_)
        gap = _advance(" ", type_) if token.space_before and lines[-1] else 0.0
        if lines[-1] and gap + advance > room:
            lines.append([])
            room, gap = width, 0.0
        lines[-1].append(token)
        room -= gap + advance
    return lines


def _cut_wide(found: list[Token], type_: Type, width: float) -> Iterator[Token]:
    for token in found:
        if _advance(token.text, type_) <= width:
            yield token
            continue
        piece, space = "", token.space_before
        for cluster in clusters(token.text):
            if piece and _advance(piece + cluster, type_) > width:
                yield Token(piece, token.word, space)
                piece, space = "", False
            piece += cluster
        yield Token(piece, token.word, space)


def _balance(words: tuple[str, ...], type_: Type, width: float, count: int) -> list[list[Token]]:
    """The lines of the narrowest measure that still needs no more lines: no lonely last word."""
    low, high = width * 0.3, width
    while high - low > width * 0.01:
        middle = (low + high) / 2
        if len(_break(words, type_, middle)) <= count:
            high = middle
        else:
            low = middle
    if any(_advance(token.text, type_) > high for token in tokens(words)):
        high = width
    return _break(words, type_, high)


def _ellipsise(
    lines: list[list[Token]], type_: Type, width: float, max_lines: int, words: tuple[str, ...]
) -> list[list[Token]]:
    kept = lines[:max_lines]
    if len(lines) <= max_lines:
        return kept
    last = list(kept[-1])
    while last:
        token = last[-1]
        shortened = Token(token.text + ELLIPSIS, token.word, token.space_before)
        candidate = [*last[:-1], shortened]
        if _set_line(candidate, type_, bidi_base(words)).width <= width:
            return [*kept[:-1], candidate]
        pieces = clusters(token.text)
        last[-1:] = [Token("".join(pieces[:-1]), token.word, token.space_before)]
        if len(pieces) == 1:
            last.pop()
    return kept


def _block(lines: list[list[Token]], type_: Type, words: tuple[str, ...]) -> Block:
    base = bidi_base(words)
    placed = tuple(_set_line(line, type_, base) for line in lines if line)
    tall = any(glyph.face.startswith(_TALL_FACES) for line in placed for glyph in line.glyphs)
    return Block(type_, placed, type_.size * (1.42 if tall else 1.14))


@lru_cache(maxsize=16384)
def _advance(text: str, type_: Type) -> float:
    if text == " ":
        return _shape_run(" ", type_.face, type_, rtl=False, word=0)[1]
    return _set_line([Token(text, 0, False)], type_, bidi.base_level(text)).width


def _set_line(line: list[Token], type_: Type, base: int) -> Line:
    """Shape a line in runs of one direction, face and word, and place the runs in visual order."""
    text, owner = "", []
    for i, token in enumerate(line):
        if token.space_before and i:
            text += " "
            owner.append(line[i - 1].word)
        text += token.text
        owner.extend([token.word] * len(token.text))
    runs = list(_runs(text, owner, type_, base))
    glyphs: list[Glyph] = []
    boxes: list[WordBox] = []
    x = 0.0
    for index in bidi.visual_order([level for level, *_ in runs]):
        level, face, word, piece = runs[index]
        shaped, advance = _shape_run(piece, face, type_, rtl=bool(level % 2), word=word)
        glyphs += [Glyph(g.face, g.gid, g.x + x, g.y, g.word) for g in shaped]
        if piece != " ":
            _extend(boxes, word, x, x + advance)
        x += advance
    return Line(tuple(glyphs), tuple(boxes), x)


def _extend(boxes: list[WordBox], word: int, left: float, right: float) -> None:
    for i, box in enumerate(boxes):
        if box.word == word:
            boxes[i] = WordBox(word, min(left, box.left), max(right, box.right))
            return
    boxes.append(WordBox(word, left, right))


def _runs(
    text: str, owner: list[int], type_: Type, base: int
) -> Iterator[tuple[int, str, int, str]]:
    """Stretches of one level, face and word; a space is a run of its own."""
    found = bidi.levels(text, base)
    current: tuple[int, str, int] | None = None
    piece = ""
    position = 0
    face = type_.face
    for cluster in clusters(text):
        # Punctuation and digits stay in the face of the word they belong to.
        chosen = face_for(cluster, face if not cluster[0].isalpha() else type_.face)
        if cluster == " ":
            chosen = type_.face
        face = chosen or face
        key = (found[position], face, owner[position])
        if piece and (key != current or cluster == " " or piece == " ") and current:
            yield (*current, piece)
            piece = ""
        piece += cluster
        current = key
        position += len(cluster)
        if cluster == " ":
            face = type_.face
    if piece and current:
        yield (*current, piece)


def _shape_run(
    piece: str, face: str, type_: Type, *, rtl: bool, word: int
) -> tuple[list[Glyph], float]:
    buffer = hb.Buffer()
    buffer.add_str(piece)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if rtl else "ltr"
    hb.shape(sized_font(face, type_.size), buffer, {"kern": True, "liga": True})
    # Letter-spacing would tear joined scripts apart; only the style's own face is spaced.
    spacing = type_.tracking * type_.size if face == type_.face and not rtl else 0.0
    glyphs: list[Glyph] = []
    x = 0.0
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.codepoint:
            left = x + position.x_offset / UNITS_PER_PIXEL
            top = -position.y_offset / UNITS_PER_PIXEL
            glyphs.append(Glyph(face, info.codepoint, left, top, word))
        x += position.x_advance / UNITS_PER_PIXEL + spacing
    if piece == " ":
        x += type_.gap * type_.size
    return glyphs, max(0.0, x - (spacing if piece != " " else 0.0))
