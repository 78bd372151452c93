"""From a vendor's character times to the times of our words.

The vendor's list should hold the characters of the text, but an entry may be several of them or
half of a surrogate pair, white space may be folded, and characters that are not spoken may be
missing. What is compared is therefore the sequence of UTF-16 units that are not white space.
"""

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LEAST_TIMED_WORDS = 0.5


@dataclass(frozen=True, slots=True)
class Timed:
    """One UTF-16 unit that is not white space, and when it is heard, in seconds."""

    unit: int
    start: float
    end: float


def timed_units(
    characters: Sequence[str], starts: Sequence[float], ends: Sequence[float]
) -> list[Timed]:
    """The units of a vendor's alignment; `ValueError` when its lists do not fit together."""
    if not len(characters) == len(starts) == len(ends):
        raise ValueError("the lists of the alignment differ in length")
    units: list[Timed] = []
    for text, start, end in zip(characters, starts, ends, strict=True):
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
            raise ValueError(f"the alignment has a character from {start} s to {end} s")
        units.extend(Timed(unit, start, end) for unit in _units(text))
    return units


def spans_of(
    words: Sequence[str], timed: Sequence[Timed], duration: float
) -> list[tuple[float, float]]:
    """When each word is heard: in order, without overlap, within the duration.

    Words without a timed character share the time between their neighbours. Raises `ValueError`
    when fewer than half of the words that have characters are timed.
    """
    owners = [index for index, word in enumerate(words) for _ in _units(word)]
    units = [unit for word in words for unit in _units(word)]
    spans: list[tuple[float, float] | None] = [None] * len(words)
    for ours, theirs in _pairs(units, [one.unit for one in timed]):
        at, known = timed[theirs], spans[owners[ours]]
        first, last = known or (at.start, at.end)
        spans[owners[ours]] = (min(first, at.start), max(last, at.end))
    found, wanted = sum(span is not None for span in spans), len(set(owners))
    if found < LEAST_TIMED_WORDS * wanted:
        raise ValueError(f"only {found} of {wanted} words are in the alignment")
    return list(_ordered(spans, duration))


def _pairs(ours: Sequence[int], theirs: Sequence[int]) -> Iterator[tuple[int, int]]:
    if list(ours) == list(theirs):
        yield from zip(range(len(ours)), range(len(theirs)), strict=True)
        return
    matcher = difflib.SequenceMatcher(None, list(ours), list(theirs), autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            yield block.a + offset, block.b + offset


def _ordered(
    spans: Sequence[tuple[float, float] | None], duration: float
) -> Iterator[tuple[float, float]]:
    at = 0.0
    index = 0
    while index < len(spans):
        span = spans[index]
        if span is not None:
            start = min(max(span[0], at), duration)
            at = min(max(span[1], start), duration)
            yield start, at
            index += 1
            continue
        upto = next((i for i in range(index, len(spans)) if spans[i] is not None), len(spans))
        following = spans[upto] if upto < len(spans) else None
        end = min(max(following[0] if following else duration, at), duration)
        step = (end - at) / (upto - index)
        for _ in range(index, upto):
            yield at, min(at + step, end)
            at = min(at + step, end)
        index = upto


def _units(text: str) -> Iterator[int]:
    kept = re.sub(r"\s+", "", text)
    encoded = kept.encode("utf-16-le", "surrogatepass")
    for position in range(0, len(encoded), 2):
        yield int.from_bytes(encoded[position : position + 2], "little")
