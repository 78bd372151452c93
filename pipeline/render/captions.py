"""Captions: spoken words grouped into cues, and cues written as SubRip and WebVTT.

A cue is a few words that are read at a glance. The words of all cues, in order, are exactly the
spoken words: grouping never drops, splits or joins one.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.domain import Word

PAUSE_SECONDS = 0.6
HOLD_SECONDS = 0.5
_SENTENCE_ENDS = tuple(".!?…。！？؟।")
_CLAUSE_ENDS = tuple(",;:،、，；：—–")


@dataclass(frozen=True, slots=True)
class Cue:
    """Words shown together, from `start` to `end` (seconds)."""

    words: tuple[Word, ...]
    start: float
    end: float

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def group(words: Sequence[Word], *, most_words: int = 6, most_width: float = 38.0) -> list[Cue]:
    """Group words into cues of three to `most_words`, no wider than `most_width` letters.

    Cues end where sentences end or the voice pauses, rather after a comma than within a clause. A
    single word wider than `most_width` is a cue by itself. A cue stays until the next one when that
    follows within half a second.
    """
    # The cheapest way to cut words[i:], found from the end: cost and length of the first cue.
    best: list[tuple[float, int]] = [(0.0, 0)] * (len(words) + 1)
    for i in range(len(words) - 1, -1, -1):
        options = []
        for n in range(1, min(most_words, len(words) - i) + 1):
            piece = words[i : i + n]
            if n > 1 and (_width(piece) > most_width or _must_end(piece[-2], piece[-1])):
                break
            last = i + n == len(words) or _must_end(words[i + n - 1], words[i + n])
            options.append((_cost(piece, last=last) + best[i + n][0], n))
        best[i] = min(options)
    pieces, i = [], 0
    while i < len(words):
        pieces.append(tuple(words[i : i + best[i][1]]))
        i += best[i][1]
    return [_cue(piece, after) for piece, after in zip(pieces, [*pieces[1:], ()], strict=True)]


def subrip(cues: Iterable[Cue]) -> str:
    """The cues as a SubRip file."""
    blocks = (
        f"{number}\n{_stamp(cue.start, ',')} --> {_stamp(cue.end, ',')}\n{_plain(cue.text)}\n"
        for number, cue in enumerate(cues, 1)
    )
    return "\n".join(blocks)


def webvtt(cues: Iterable[Cue]) -> str:
    """The cues as a WebVTT file, characters of its markup escaped."""
    blocks = [
        f"{_stamp(cue.start, '.')} --> {_stamp(cue.end, '.')}\n{_escaped(_plain(cue.text))}\n"
        for cue in cues
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _must_end(word: Word, following: Word) -> bool:
    """True when a cue may not reach from a word over to the next."""
    return word.text.endswith(_SENTENCE_ENDS) or following.start - word.end > PAUSE_SECONDS


def _cost(piece: Sequence[Word], *, last: bool) -> float:
    """How badly a piece reads: short stubs worst, cuts within a clause a little."""
    stub = {1: 6.0, 2: 2.5}.get(len(piece), 0.0)
    cut = 0.0 if last else 0.4 if piece[-1].text.endswith(_CLAUSE_ENDS) else 1.0
    return 1.2 + stub + cut


def _width(piece: Sequence[Word]) -> float:
    """Letters of Latin width; ideographs count double."""
    wide = (2.0 if unicodedata.east_asian_width(c) in "WF" else 1.0 for w in piece for c in w.text)
    return sum(wide) + len(piece) - 1


def _cue(piece: tuple[Word, ...], following: tuple[Word, ...]) -> Cue:
    end = piece[-1].end
    if not following:
        return Cue(piece, piece[0].start, end)
    gap = following[0].start - end
    return Cue(piece, piece[0].start, following[0].start if gap <= HOLD_SECONDS else end + 0.25)


def _stamp(seconds: float, point: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _plain(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
