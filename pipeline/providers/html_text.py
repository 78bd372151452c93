"""HTML of strangers reduced to its text; nothing of it is ever shown or run."""

import re
from html.parser import HTMLParser
from typing import Any


class _Text(HTMLParser):
    """Collects what a reader would see."""

    hidden = ("script", "style", "template", "noscript")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, _attrs: Any) -> None:
        self._depth += tag in self.hidden
        self.parts.append("" if tag in {"a", "b", "i", "em", "strong", "span", "sub"} else " ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.hidden and self._depth:
            self._depth -= 1
        # A paragraph's end is a sentence's end, even where the full stop is missing.
        if tag in {"p", "li", "div", "h1", "h2", "h3"} and self.parts:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._depth:
            self.parts.append(re.sub(r"\s+", " ", data))


def html_text(text: str) -> str:
    """What a reader would see, a line a paragraph; plain text stays as it is."""
    reader = _Text()
    reader.feed(text)
    reader.close()
    lines = (re.sub(r"\s+", " ", line).strip() for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)
