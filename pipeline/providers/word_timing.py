"""From what a speech engine reports to when each word of `text.split()` is heard.

The engine reports where in the text it is at which sample, but not in our words: `1969` is three
reports, `of the` may be one, a dash or an emoji is none. Words without a report of their own share
the time of the report before them, by their length.
"""

import bisect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.domain import Word

Samples = npt.NDArray[np.int16]

AUDIBLE_AMPLITUDE = 160  # about -46 dB below full scale
SHORTEST_WORD_SECONDS = 0.01
UNSPOKEN_WEIGHT = 0.15


@dataclass(frozen=True, slots=True)
class Report:
    """The engine reached this character of the text at this sample."""

    character: int
    sample: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Words that share a stretch of sound which starts at `start`; `first` is an index."""

    first: int
    start: int


def audible_span(samples: Samples) -> tuple[int, int]:
    """First and last audible sample, the last exclusive; (0, 0) for silence."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > AUDIBLE_AMPLITUDE)
    return (int(loud[0]), int(loud[-1]) + 1) if loud.size else (0, 0)


def time_words(
    text: str, reports: Iterable[Report], samples: Samples, rate: int
) -> tuple[Word, ...]:
    """The words of `text.split()` in seconds: in order, without overlap, within the samples.

    A word ends where it is last audible, so that the pause after it belongs to no word.
    """
    spans = [(match.start(), match.group()) for match in re.finditer(r"\S+", text)]
    tokens = [token for _, token in spans]
    if not tokens:
        return ()
    groups = _groups([start for start, _ in spans], tokens, reports, len(samples), rate)
    words: list[Word] = []
    for index, group in enumerate(groups):
        following = groups[index + 1] if index + 1 < len(groups) else None
        stop = following.start if following else len(samples)
        members = tokens[group.first : following.first if following else None]
        begin, end = _heard(samples, group.start, stop, round(SHORTEST_WORD_SECONDS * rate))
        words.extend(_shared(members, begin / rate, end / rate))
    return tuple(words)


def _groups(
    starts: Sequence[int], tokens: Sequence[str], reports: Iterable[Report], total: int, rate: int
) -> list[_Group]:
    """Where a new stretch begins: at reports that move on in the text and leave time for it."""
    shortest = max(round(SHORTEST_WORD_SECONDS * rate), 1)
    groups = [_Group(0, 0)]
    for report in reports:
        token = bisect.bisect_right(starts, report.character) - 1
        sample = min(max(report.sample, 0), total)
        if token <= groups[-1].first:
            if token == 0 and len(groups) == 1 and groups[0].start == 0:
                groups[0] = _Group(0, min(sample, total))
            continue
        # What comes sooner than its words can be told apart joins the stretch before it.
        if sample - groups[-1].start >= shortest * (token - groups[-1].first):
            groups.append(_Group(token, sample))
    while len(groups) > 1 and total - groups[-1].start < shortest * (
        len(tokens) - groups[-1].first
    ):
        groups.pop()
    return groups


def _heard(samples: Samples, start: int, stop: int, shortest: int) -> tuple[int, int]:
    """The audible part of a stretch, or its very beginning when there is none."""
    first, last = audible_span(samples[start:stop])
    if last - first < shortest:
        return start, min(max(start + last, start + shortest), stop)
    return start + first, start + last


def _shared(members: Sequence[str], begin: float, end: float) -> Iterable[Word]:
    weights = [_weight(member) for member in members]
    whole = sum(weights)
    passed = 0.0
    at = begin
    for member, weight in zip(members, weights, strict=True):
        passed += weight
        upto = min(max(begin + (end - begin) * passed / whole, at), end)
        yield Word(member, at, upto)
        at = upto


def _weight(word: str) -> float:
    return float(sum(c.isalnum() for c in word)) or UNSPOKEN_WEIGHT
