"""Topics in JSON: a list of objects, or an object with the list under `topics`."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from pipeline.domain import Topic
from pipeline.errors import Rejected
from pipeline.providers.topics_row import COLUMNS, Problem, Row, split_facts, unknown_name

_OPENING = re.compile(r'\s*(?:\{\s*"topics"\s*:\s*)?\[\s*')
_BETWEEN = re.compile(r"\s*([,\]])\s*")


def json_rows(file: str, text: str) -> Iterator[Row | Problem]:
    """Rows in order; raises `Rejected` with line and column where the file is not JSON."""
    opening = _OPENING.match(text)
    try:
        whole = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise Rejected(
            f"{file}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise Rejected(f"{file} is not usable JSON: {error}") from error
    items = whole.get("topics") if isinstance(whole, dict) else whole
    if not isinstance(items, list) or opening is None:
        raise Rejected(
            f"{file} must be a list of objects with the keys {', '.join(COLUMNS)},"
            ' or {"topics": [...]}'
        )
    return _items(text, opening.end())


def _items(text: str, at: int) -> Iterator[Row | Problem]:
    """Decode element by element, so that each knows its line; the whole is known to be valid."""
    decoder = json.JSONDecoder()
    line = 1 + text.count("\n", 0, at)
    while text[at] != "]":
        item, end = decoder.raw_decode(text, at)
        yield from _row(item, line)
        between = _BETWEEN.match(text, end)
        if between is None or between.group(1) == "]":
            return
        line += text.count("\n", at, between.end())
        at = between.end()


def _row(item: Any, line: int) -> Iterator[Row | Problem]:
    if not isinstance(item, dict):
        yield Problem(line, f"an object with the key 'topic' is wanted, not {str(item)[:60]!r}")
        return
    yield from (Problem(line, unknown_name(key)) for key in item if key not in COLUMNS)
    for key in ("topic", "source_url", "niche", "language"):
        if not isinstance(item.get(key), str | None):
            yield Problem(line, f"{key!r} must be a text, not {str(item[key])[:60]!r}")
            return
    facts = item.get("facts") or []
    if isinstance(facts, str):
        facts = split_facts(facts)
    if not isinstance(facts, list | tuple) or not all(isinstance(fact, str) for fact in facts):
        yield Problem(line, "'facts' must be a list of texts, or one text divided by bars")
        return
    yield Row(
        line,
        Topic(
            topic=item.get("topic") or "",
            facts=tuple(facts),
            source_url=item.get("source_url") or None,
            niche=item.get("niche") or None,
            language=(item.get("language") or "").strip() or "en",
        ),
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
