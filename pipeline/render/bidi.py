"""Which way characters run: the implicit part of the Unicode bidirectional algorithm (UAX #9).

Explicit embeddings and isolates are not honoured: `typography.clean` drops those characters, for
titles come from feeds that cannot be trusted to close what they open.
"""

import unicodedata
from collections.abc import Sequence

_NUMBERS = ("EN", "AN")
_NEUTRAL = ("B", "S", "WS", "ON", "BN")


def base_level(text: str) -> int:
    """1 when the first strong character runs right to left, else 0."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return 1
        if kind == "L":
            return 0
    return 0


def levels(text: str, base: int) -> list[int]:
    """The embedding level of each character: odd runs right to left."""
    direction = "R" if base else "L"
    kinds = _resolve_neutral(_resolve_weak([_kind(c) for c in text], direction), direction)
    return [_level(kind, base) for kind in kinds]


def visual_order(run_levels: Sequence[int]) -> list[int]:
    """The indices of a line's runs from left to right (rule L2)."""
    order = list(range(len(run_levels)))
    if not order:
        return order
    odd = [level for level in run_levels if level % 2]
    for threshold in range(max(run_levels), (min(odd) if odd else max(run_levels) + 1) - 1, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and run_levels[order[end]] >= threshold:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = max(end, start + 1)
    return order


def _kind(character: str) -> str:
    kind = unicodedata.bidirectional(character) or "L"
    return "BN" if kind in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") else kind


def _level(kind: str, base: int) -> int:
    if base % 2 == 0:
        return base + {"R": 1, "AN": 2, "EN": 2}.get(kind, 0)
    return base + (0 if kind == "R" else 1)


def _resolve_weak(kinds: list[str], direction: str) -> list[str]:
    """Rules W1 to W7."""
    strong = previous = direction
    for i, kind in enumerate(kinds):
        if kind == "NSM":
            kinds[i] = previous
        elif kind == "EN" and strong == "AL":
            kinds[i] = "AN"
        if kinds[i] in ("L", "R", "AL"):
            strong = kinds[i]
        previous = kinds[i]
    kinds = ["R" if kind == "AL" else kind for kind in kinds]
    for i in range(1, len(kinds) - 1):
        before, after = kinds[i - 1], kinds[i + 1]
        if before == after and (
            (kinds[i] == "ES" and before == "EN") or (kinds[i] == "CS" and before in _NUMBERS)
        ):
            kinds[i] = before
    for i, kind in enumerate(kinds):
        if kind == "ET":
            end = i
            while end < len(kinds) and kinds[end] == "ET":
                end += 1
            if (i and kinds[i - 1] == "EN") or (end < len(kinds) and kinds[end] == "EN"):
                kinds[i:end] = ["EN"] * (end - i)
    kinds = ["ON" if kind in ("ES", "ET", "CS") else kind for kind in kinds]
    strong = direction
    for i, kind in enumerate(kinds):
        if kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":
            kinds[i] = "L"
    return kinds


def _resolve_neutral(kinds: list[str], direction: str) -> list[str]:
    """Rules N1 and N2 (bracket pairs, N0, follow their surroundings like other neutrals)."""

    def side(kind: str) -> str:
        return "R" if kind in _NUMBERS else kind

    i = 0
    while i < len(kinds):
        if kinds[i] not in _NEUTRAL:
            i += 1
            continue
        end = i
        while end < len(kinds) and kinds[end] in _NEUTRAL:
            end += 1
        before = side(kinds[i - 1]) if i else direction
        after = side(kinds[end]) if end < len(kinds) else direction
        kinds[i:end] = [before if before == after else direction] * (end - i)
        i = end
    return kinds
