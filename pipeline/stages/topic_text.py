"""What a topic may contain: plain text of one line, within sizes, and when two are the same."""

import re
import unicodedata
from dataclasses import replace

from pipeline.domain import Topic
from pipeline.errors import Rejected

TOPIC_CHARACTERS = 500
FACT_CHARACTERS = 1_000
FACTS = 50
URL_CHARACTERS = 1_000
NICHE_CHARACTERS = 100
LANGUAGE_CHARACTERS = 10

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
# Invisible characters that reorder what is read, or hide text from a person but not from a model:
# bidi embeddings, overrides and isolates, zero-width space and no-break space, invisible
# operators, interlinear marks and the tag block. Joiners stay: emoji and Persian need them.
_DECEIVING = re.compile(
    "[\u202a-\u202e\u2066-\u2069\u200b\ufeff\u2060-\u2064\u206a-\u206f\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def plain_line(text: str) -> str:
    """The text as one NFC line: no control, deceiving or broken characters, single spaces."""
    kept = (
        " " if unicodedata.category(c) in {"Zl", "Zp", "Zs"} or c in "\t\n\r\v\f\x85" else c
        for c in _DECEIVING.sub("", text)
        if c in "\t\n\r\v\f\x85" or not _unusable(c)
    )
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def _unusable(character: str) -> bool:
    """Control characters, halves of surrogate pairs, and code points that never are characters."""
    code = ord(character)
    return (
        unicodedata.category(character) in {"Cc", "Cs"}
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )


def normalise_topic(text: str) -> str:
    """The form in which two topics are compared: letters and digits, case and accents folded."""
    decomposed = unicodedata.normalize("NFKD", plain_line(text))
    folded = unicodedata.normalize("NFKD", decomposed.casefold()).casefold()
    kept = "".join(" " if not (c.isalnum() or _is_mark(c)) else c for c in folded)
    letters = "".join(c for c in kept if unicodedata.category(c) != "Mn")
    return " ".join(letters.split()) or plain_line(text).casefold()


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def clean_topic(topic: Topic) -> Topic:
    """The topic in plain text; raises `Rejected` with the reason when it cannot be used."""
    name = plain_line(topic.topic)
    if not any(c.isalnum() or unicodedata.category(c) == "So" for c in name):
        raise Rejected("the topic is empty")
    if len(name) > TOPIC_CHARACTERS:
        raise Rejected(f"the topic has {len(name)} characters; {TOPIC_CHARACTERS} is the limit")
    facts = tuple(fact for fact in map(plain_line, topic.facts) if fact)
    if len(facts) > FACTS:
        raise Rejected(f"the topic has {len(facts)} facts; {FACTS} is the limit")
    for number, fact in enumerate(facts, start=1):
        if len(fact) > FACT_CHARACTERS:
            raise Rejected(
                f"fact {number} has {len(fact)} characters; {FACT_CHARACTERS} is the limit"
            )
    return replace(
        topic,
        topic=name,
        facts=tuple(dict.fromkeys(facts)),
        source_url=_clean_url(topic.source_url),
        niche=_clean_niche(topic.niche),
        language=_clean_language(topic.language),
    )


def _clean_url(url: str | None) -> str | None:
    cleaned = plain_line(url or "")
    if not cleaned:
        return None
    if len(cleaned) > URL_CHARACTERS:
        raise Rejected(f"source_url is longer than {URL_CHARACTERS} characters")
    if not _URL.fullmatch(cleaned):
        raise Rejected(f"source_url must start with http:// or https://, not {cleaned[:60]!r}")
    return cleaned


def _clean_niche(niche: str | None) -> str | None:
    cleaned = plain_line(niche or "")
    if len(cleaned) > NICHE_CHARACTERS:
        raise Rejected(f"niche is longer than {NICHE_CHARACTERS} characters")
    return cleaned or None


def _clean_language(language: str) -> str:
    cleaned = plain_line(language).replace("_", "-") or "en"
    if len(cleaned) > LANGUAGE_CHARACTERS or not _LANGUAGE.fullmatch(cleaned):
        raise Rejected(f"language must be a tag such as en or pt-BR, not {cleaned[:20]!r}")
    return cleaned
