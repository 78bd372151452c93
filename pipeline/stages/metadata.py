"""What YouTube accepts as a video's title, description and tags; checked before anything is paid.

The limits are those of the Data API's `videos.snippet`: a title of 100 characters, a description of
5,000 bytes of UTF-8, tags of 500 characters counted with the commas between them and two quotation
marks for a tag with a space; none of them with angle brackets. Characters are counted as UTF-16
units, the strictest reading of the documentation: an emoji counts two.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from pipeline.domain import FootageCredit
from pipeline.errors import Rejected
from pipeline.stages.topic_text import plain_line

TITLE_CHARACTERS = 100
DESCRIPTION_BYTES = 5_000
TAGS_CHARACTERS = 500
# The marker of an upload is added to the description as a line and to the tags, at upload.
MARKER_CHARACTERS = 48
# What the origins of footage may take of a description.
CREDITS_BYTES = 2_500
ELLIPSIS = "…"

_MARKER = re.compile(r"yte-[A-Za-z0-9-]+")
_FOOTAGE = {
    "en": "Footage",
    "es": "Imágenes",
    "de": "Bildmaterial",
    "fr": "Images",
    "pt": "Imagens",
}
_FORBIDDEN = str.maketrans({"<": "‹", ">": "›"})
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text) + sum(ord(c) > 0xFFFF for c in text)


def tags_length(tags: Sequence[str]) -> int:
    """The length that YouTube counts for a list of tags: `Foo Baz` counts 9."""
    return sum(units(tag) + (2 if " " in tag else 0) for tag in tags) + max(len(tags) - 1, 0)


def check_title(title: str) -> None:
    """Raise `Rejected` when YouTube would refuse the title."""
    if not title.strip():
        raise Rejected("the title is empty")
    if units(title) > TITLE_CHARACTERS:
        raise Rejected(f"the title has {units(title)} characters; YouTube takes {TITLE_CHARACTERS}")
    _check_characters("the title", title, lines=False)


def check_description(description: str) -> None:
    """Raise `Rejected` when YouTube would refuse the description."""
    size = len(description.encode("utf-8", "surrogatepass"))
    if size > DESCRIPTION_BYTES:
        raise Rejected(f"the description has {size} bytes; YouTube takes {DESCRIPTION_BYTES}")
    _check_characters("the description", description, lines=True)


def check_tags(tags: Sequence[str]) -> None:
    """Raise `Rejected` when YouTube would refuse the tags."""
    for tag in tags:
        if not tag.strip():
            raise Rejected("a tag is empty")
        if "," in tag:
            raise Rejected(f"the tag {tag!r} has a comma, which YouTube takes for two tags")
        _check_characters(f"the tag {tag!r}", tag, lines=False)
    if tags_length(tags) > TAGS_CHARACTERS:
        raise Rejected(
            f"the tags have {tags_length(tags)} characters as YouTube counts;"
            f" it takes {TAGS_CHARACTERS}"
        )


def check_metadata(title: str, description: str, tags: Sequence[str]) -> None:
    """Raise `Rejected` for the first of the three that YouTube would refuse."""
    check_title(title)
    check_description(description)
    check_tags(tags)


def _check_characters(what: str, text: str, *, lines: bool) -> None:
    if "<" in text or ">" in text:
        raise Rejected(f"{what} contains < or >, which YouTube refuses")
    if _OVERRIDES.search(text):
        raise Rejected(f"{what} contains characters that override the direction of writing")
    allowed = "\n" if lines else ""
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in allowed:
            raise Rejected(f"{what} contains the control character U+{ord(character):04X}")


def clip_title(text: str, limit: int = TITLE_CHARACTERS) -> str:
    """The text as one line of at most `limit` UTF-16 units, cut at a word, never in a character."""
    line = plain_line(text).translate(_FORBIDDEN)
    if units(line) <= limit:
        return line
    kept: list[str] = []
    room = limit - units(ELLIPSIS)
    for cluster in _clusters(line):
        if units(cluster) > room:
            break
        kept.append(cluster)
        room -= units(cluster)
    head = "".join(kept)
    at_word = head.rsplit(" ", 1)[0] if not line[len(head) :].startswith(" ") else head
    if len(at_word) >= len(head) * 0.6:
        head = at_word
    return head.rstrip(" ,;:.-–—") + ELLIPSIS


def _clusters(text: str) -> Iterable[str]:
    """What a reader takes for one character: marks, modifiers and joined emoji stay together."""
    cluster = ""
    for character in text:
        joins = (
            unicodedata.category(character).startswith("M")
            or character == "\u200d"
            or cluster.endswith("\u200d")
            or 0x1F3FB <= ord(character) <= 0x1F3FF
            or (len(cluster) == 1 and _regional(cluster) and _regional(character))
        )
        if cluster and not joins:
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _regional(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF


def clip_description(text: str, limit: int = DESCRIPTION_BYTES - MARKER_CHARACTERS - 2) -> str:
    """The lines of the text that fit into `limit` bytes; leaves room for the marker by default."""
    kept: list[str] = []
    room = limit
    for line in text.split("\n"):
        clean = plain_line(line).translate(_FORBIDDEN)
        size = len(clean.encode()) + 1
        if size > room:
            break
        kept.append(clean)
        room -= size
    return "\n".join(kept).strip("\n")


def fit_tags(
    tags: Iterable[str], limit: int = TAGS_CHARACTERS - MARKER_CHARACTERS
) -> tuple[str, ...]:
    """The tags in order, cleaned and without repeats, as far as they fit."""
    kept: dict[str, str] = {}
    for tag in tags:
        clean = plain_line(tag.replace(",", " ")).translate(_FORBIDDEN)
        if not clean or clean.casefold() in kept:
            continue
        if tags_length([*kept.values(), clean]) <= limit:
            kept[clean.casefold()] = clean
    return tuple(kept.values())


def credited(description: str, credits_: Sequence[FootageCredit], language: str) -> str:
    """The description with a line for each asset whose origin is known; the lines before it give
    way, so that it still fits together with the marker of an upload."""
    lines = dict.fromkeys(line for credit in credits_ if (line := _credit_line(credit)))
    if not lines:
        return description
    heading = _FOOTAGE.get(language.split("-")[0].lower(), _FOOTAGE["en"])
    block = clip_description("\n".join((f"{heading}:", *lines)), CREDITS_BYTES)
    room = DESCRIPTION_BYTES - MARKER_CHARACTERS - 2 - len(block.encode()) - 2
    body = clip_description(description, room)
    return f"{body}\n\n{block}" if body else block


def _credit_line(credit: FootageCredit) -> str | None:
    """`Jane Doe, Pexels: https://... (Pexels licence)`, of whatever of it is known."""
    if credit.author is None and credit.page_url is None and credit.licence is None:
        return None
    library = None if credit.provider == "folder" else credit.provider.capitalize()
    who = ", ".join(part for part in (credit.author, library) if part)
    line = ": ".join(part for part in (who, credit.page_url) if part)
    return f"{line} ({credit.licence})".strip() if credit.licence else line


def marked(description: str, tags: Sequence[str], marker: str) -> tuple[str, tuple[str, ...]]:
    """Description and tags with the marker of an upload: last line, and last tag.

    What no longer fits beside the marker is left out, never the marker.
    """
    if not _MARKER.fullmatch(marker) or len(marker) > MARKER_CHARACTERS:
        raise ValueError(f"not a marker of at most {MARKER_CHARACTERS} characters: {marker!r}")
    body = clip_description(description, DESCRIPTION_BYTES - len(marker) - 2)
    others = fit_tags(tags, TAGS_CHARACTERS - len(marker) - 1)
    return (f"{body}\n\n{marker}" if body else marker), (*others, marker)
