"""Topics from an RSS or Atom file: each entry a topic, the sentences of its summary the facts.

Feeds are written by strangers: no document type, no entities, no external anything (defusedxml),
and HTML is reduced to its text.
"""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from pipeline.domain import Topic
from pipeline.errors import Rejected
from pipeline.providers.html_text import html_text
from pipeline.providers.sentences import sentences
from pipeline.providers.topics_row import Problem, Row

FACTS_AN_ENTRY = 12
FACT_WORDS = 4
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LINE = "ytempire-line"  # not a name that XML can have: no feed can set it
_SUMMARIES = ("description", "summary", "encoded", "content")


def feed_rows(file: str, content: bytes) -> Iterator[Row | Problem]:
    """Rows in order; raises `Rejected` for what is not well-formed, or not a feed."""
    root = _parsed(file, content)
    kind = _local(root.tag)
    if kind not in {"rss", "RDF", "feed"}:
        raise Rejected(f"{file} is neither RSS nor Atom: its outermost element is <{kind}>")
    entry = "entry" if kind == "feed" else "item"
    language = root.get(_XML_LANGUAGE) or next(
        (e.text or "" for e in root.iter() if _local(e.tag) == "language"), ""
    )
    entries = [element for element in root.iter() if _local(element.tag) == entry]
    if not entries:
        raise Rejected(f"{file} is a feed without entries")
    return (_row(element, language.strip() or "en") for element in entries)


def _parsed(file: str, content: bytes) -> Element:
    builder = _LineTree()
    try:
        parser = DefusedXMLParser(target=builder, forbid_dtd=True)
        builder.parser = parser.parser
        parser.feed(content)
        root: Element = parser.close()
    except ParseError as error:
        line, column = error.position
        raise Rejected(
            f"{file}, line {line}, column {column + 1}: not well-formed XML ({error})"
        ) from error
    except DefusedXmlException as error:
        raise Rejected(
            f"{file} declares a document type or entities, which no feed needs: refused"
        ) from error
    except (ValueError, LookupError, RecursionError) as error:
        raise Rejected(f"{file} cannot be read as XML: {error}") from error
    return root


class _LineTree(TreeBuilder):
    """A tree whose elements remember the line where they begin."""

    parser: Any = None

    def start(self, tag: Any, attrs: Any, /) -> Element:
        element: Element = super().start(tag, attrs)
        element.set(_LINE, str(self.parser.CurrentLineNumber))
        return element


def _row(entry: Element, language: str) -> Row | Problem:
    line = int(entry.get(_LINE, "0"))
    title = " ".join(_text_of(entry, "title").split())
    if not title:
        return Problem(line, "the entry has no title")
    summary = next((text for name in _SUMMARIES if (text := _text_of(entry, name))), "")
    summary = _stopped(summary)
    facts = [fact for fact in sentences(summary) if len(fact.split()) >= FACT_WORDS]
    return Row(
        line,
        Topic(
            topic=title,
            facts=tuple(facts[:FACTS_AN_ENTRY]),
            source_url=_link(entry),
            language=entry.get(_XML_LANGUAGE) or language,
        ),
    )


def _text_of(entry: Element, name: str) -> str:
    for child in entry:
        if _local(child.tag) == name:
            return html_text("".join(child.itertext()))
    return ""


def _link(entry: Element) -> str | None:
    for child in entry:
        if _local(child.tag) == "link" and child.get("rel", "alternate") == "alternate":
            address = (child.get("href") or child.text or "").strip()
            if address.startswith(("http://", "https://")):
                return address
    return None


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


def _stopped(text: str) -> str:
    """Lines as sentences: each ends with a full stop if with nothing else."""
    return " ".join(line if line[-1] in ".!?…。" else f"{line}." for line in text.splitlines())
