"""Text into sentences a voice can speak in one breath, without changing a word of it."""

import re

SPEAKABLE_WORDS = 25
# A full stop after these ends no sentence.
_ABBREVIATIONS = re.compile(
    r"mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|approx|ca|fig|gen|col|sgt|jr|sr|inc|ltd|co|corp"
    r"|u\.s|u\.k|u\.n|a\.m|p\.m|b\.c|a\.d|ph\.d|jan|feb|aug|sept|oct|nov|dec|mt|ft"
    r"|z\.b|d\.h|bzw|u\.a|sra|dra|p\.ej|mme|mlle"
)
_END = re.compile(r"([.!?…]+[\"'”’»)\]]*)\s+|([。！？]+[」』）]?)\s*")
_BREAKS = (
    re.compile(r"(?<=;)\s+"),
    re.compile(r"\s+[–—]\s+"),
    re.compile(r"(?<=:)\s+"),
    re.compile(
        r"(?<=,)\s+(?=(?:and|but|so|while|because|although|yet|y|pero|und|aber|et|mais|e|mas)\s)"
    ),
    re.compile(r"(?<=,)\s+"),
    re.compile(r"\s+(?=(?:because|while|although|porque|weil|parce|quand|when)\s)"),
    re.compile(r"\s+(?=(?:and|but|y|pero|und|aber|et|mais|mas)\s)"),
)


def sentences(text: str) -> list[str]:
    """The sentences of the text, in order; joined by spaces they are the text again."""
    found: list[str] = []
    begin = 0
    for match in _END.finditer(text):
        if match.group(1) and not _ends(text[begin : match.end(1)], text[match.end() :]):
            continue
        found.append(text[begin : match.end(1) if match.group(1) else match.end(2)].strip())
        begin = match.end()
    found.append(text[begin:].strip())
    return [sentence for sentence in found if sentence]


def _ends(before: str, after: str) -> bool:
    """Whether a sentence ends here; a small letter after a full stop says that it goes on."""
    if not after or not before.rstrip("\"'”’»)]").endswith("."):
        return True
    word = before.rstrip(".\"'”’»)]").rsplit(" ", 1)[-1].lstrip("(\"'“«").lower()
    initial = len(word) == 1 and word.isalpha()
    return not (after[0].islower() or initial or _ABBREVIATIONS.fullmatch(word))


def speakable(sentence: str) -> list[str]:
    """The sentence in pieces of at most 25 words, cut where a speaker would breathe.

    A piece that offers no such place stays whole: words, numbers and names are never touched.
    """
    if len(sentence.split()) <= SPEAKABLE_WORDS:
        return [sentence]
    for pattern in _BREAKS:
        cuts = [m for m in pattern.finditer(sentence) if _balanced(sentence, m.start(), m.end())]
        if cuts:
            middle = len(sentence) / 2
            cut = min(cuts, key=lambda m: abs(m.start() - middle))
            head, tail = sentence[: cut.start()].rstrip(), sentence[cut.end() :].lstrip()
            return [*speakable(head), *speakable(tail)]
    return [sentence]


def _balanced(sentence: str, start: int, end: int) -> bool:
    """No crumbs, and no cut within brackets."""
    head, tail = sentence[:start], sentence[end:]
    return (
        len(head.split()) >= 4
        and len(tail.split()) >= 4
        and head.count("(") == head.count(")")
        and head.count("“") == head.count("”")
    )
