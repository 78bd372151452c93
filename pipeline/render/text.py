"""What of a text can be shown: cleaning, and cutting it where a line may break."""

import unicodedata
from dataclasses import dataclass

from pipeline.render.fonts import face_for, is_ignorable

_NO_LINE_START = set("、。，．！？；：」』）】〉》’”％ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
_NO_LINE_END = set("「『（【〈《‘“")


@dataclass(frozen=True, slots=True)
class Token:
    """An unbreakable piece of text. `word` is the index of the word that it is part of."""

    text: str
    word: int
    space_before: bool


def clean(text: str) -> str:
    """The text without control and formatting characters, its white space collapsed.

    Joiners and variation selectors stay: Persian, Hindi and emoji are made of them. Characters that
    none of our faces has are dropped; `unsupported` tells them.
    """
    kept = [
        " " if c.isspace() else c
        for c in unicodedata.normalize("NFC", text)
        if c.isspace() or is_ignorable(c) or not unicodedata.category(c).startswith("C")
    ]
    drawable = (c for c in clusters("".join(kept)) if face_for(c, "Inter-Bold.ttf") is not None)
    return " ".join("".join(drawable).split())


def unsupported(text: str) -> str:
    """The letters of a text that no face of ours can draw, each once, in order."""
    letters = (c for c in unicodedata.normalize("NFC", text) if c.isalpha())
    return "".join(dict.fromkeys(c for c in letters if face_for(c, "Inter-Bold.ttf") is None))


def clusters(text: str) -> list[str]:
    """The text cut into what a reader takes for one character each."""
    found: list[str] = []
    for c in text:
        if found and _continues(found[-1], c):
            found[-1] += c
        else:
            found.append(c)
    return found


def tokens(words: tuple[str, ...]) -> list[Token]:
    """Words cut where a line may break: between words and between ideographs."""
    found: list[Token] = []
    for index, word in enumerate(words):
        piece = ""
        space = index > 0
        for cluster in clusters(word):
            if piece and _may_break(piece[-1], cluster[0]):
                found.append(Token(piece, index, space))
                piece, space = "", False
            piece += cluster
        if piece:
            found.append(Token(piece, index, space))
    return found


def _continues(before: str, c: str) -> bool:
    if unicodedata.category(c) in ("Mn", "Me", "Mc") or is_ignorable(c):
        return True
    if before[-1] == "\u200d" or "\U0001f3fb" <= c <= "\U0001f3ff":
        return True
    flags = "\U0001f1e6" <= c <= "\U0001f1ff"
    return flags and len(before) == 1 and "\U0001f1e6" <= before <= "\U0001f1ff"


def _may_break(before: str, after: str) -> bool:
    wide = _is_ideographic(before) or _is_ideographic(after)
    return wide and after not in _NO_LINE_START and before not in _NO_LINE_END


def _is_ideographic(c: str) -> bool:
    return "\u2e80" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" or "\uff00" <= c <= "\uff60"
