"""Headings of two to five words, taken from the facts themselves."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

LONGEST_HEADING_WORDS = 5
HEADING_CHARACTERS = 42
_CUTS = ",;:.!?…–—)"
_EDGES = "\"'“”‘’«»()[]{}.,;:!?…–—-¿¡。，、！？"
# Words that may stand inside a heading though they never begin or end one.
_JOINERS = frozenset(
    ("of", "and", "in", "on", "at", "with", "from", "de", "del", "da", "do", "y", "und", "et", "e")
)
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring words; `bounds` counts the ends at which the phrase seems to be complete."""

    words: tuple[str, ...]
    bounds: int


def heading(fact: str, small: frozenset[str], taken: Collection[str]) -> str:
    """The most telling run of words of the fact, not one of those `taken`; never empty.

    Numbers and names tell most. Text without spaces between its words is cut by length.
    """
    words = fact.split()
    if not words:
        raise ValueError("a heading needs a fact")
    used = {other.casefold() for other in taken}
    known = {word.casefold() for other in taken for word in other.split()}
    best = max(
        (run for run in _runs(words, small) if _shown(run.words).casefold() not in used),
        key=lambda run: _telling(run, small, known),
        default=None,
    )
    return _shown(best.words if best else _plainest(words, small))


def stands_alone(fact: str, pointing: frozenset[str]) -> bool:
    """Whether the fact names what it is about, instead of pointing at what was said before."""
    return not any(word.strip(_EDGES).casefold() in pointing for word in fact.split())


def strength(fact: str, small: frozenset[str]) -> float:
    """How much a fact surprises, as far as its form tells: numbers, extremes, brevity."""
    words = [word.strip(_EDGES).casefold() for word in fact.split()]
    extremes = sum(
        word in {"only", "never", "first", "largest", "longest", "deepest", "most", "more", "all"}
        or (word.endswith("est") and len(word) > 5)
        for word in words
    )
    content = [word for word in words if word not in small]
    density = len(content) / max(len(words), 1)
    return 1.5 * min(extremes, 2) + (1 if _NUMBER.search(fact) else 0) + density - len(words) / 14


def _runs(words: Sequence[str], small: frozenset[str]) -> list[_Run]:
    """All runs of 2 to 5 words that no punctuation cuts and that no small word begins or ends."""
    plain = [_bare(word) for word in words]
    runs: list[_Run] = []
    for begin in range(len(words)):
        for end in range(begin + 2, min(begin + LONGEST_HEADING_WORDS, len(words)) + 1):
            if words[end - 2][-1] in _CUTS:
                break
            run = plain[begin:end]
            if not all(run) or len(" ".join(run)) > HEADING_CHARACTERS:
                break
            inner = {word.casefold() for word in run[1:-1]} & small
            if {run[0].casefold(), run[-1].casefold()} & small or inner - _JOINERS:
                continue
            left = (
                begin == 0 or words[begin - 1][-1] in _CUTS or plain[begin - 1].casefold() in small
            )
            right = (
                end == len(words) or words[end - 1][-1] in _CUTS or plain[end].casefold() in small
            )
            runs.append(_Run(tuple(run), left + right))
    return runs


def _plainest(words: Sequence[str], small: frozenset[str]) -> Sequence[str]:
    """The first short run that ends in a word of its own meaning, else simply the first words."""
    plain = [_bare(word) for word in words]
    for length in (2, 3, 4):
        for begin in range(len(plain) - length + 1):
            cut = any(word[-1] in _CUTS for word in words[begin : begin + length - 1])
            last = plain[begin + length - 1]
            if not cut and last and last.casefold() not in small:
                return plain[begin : begin + length]
    return plain[:LONGEST_HEADING_WORDS]


def _bare(word: str) -> str:
    """The word without the punctuation around it; a possessive keeps its apostrophe."""
    bare = word.strip(_EDGES)
    apostrophe = word[len(bare) : len(bare) + 1]
    return bare + apostrophe if bare.endswith("s") and apostrophe in {"'", "’"} else bare


def _telling(run: _Run, small: frozenset[str], known: set[str]) -> float:
    folded = [word.casefold() for word in run.words]
    content = [word for word in folded if word not in small]
    new = [word for word in content if word not in known]
    numbers = any(_NUMBER.search(word) for word in run.words)
    names = sum(word[0].isupper() for word in run.words[1:])
    return (
        sum(map(len, new)) / 6
        + 1.3 * run.bounds
        + (1.6 if numbers else 0)
        + 0.6 * names
        - 1.0 * (len(run.words) - len(content))
        - (0.8 if len(run.words) > 4 else 0)
        - (4 if not new else 0)
    )


def _shown(run: Sequence[str]) -> str:
    text = " ".join(run).strip()
    if len(text) > HEADING_CHARACTERS:
        text = text[:HEADING_CHARACTERS].rsplit(" ", 1)[0]
    return text[:1].upper() + text[1:]
