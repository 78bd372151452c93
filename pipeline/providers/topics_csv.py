"""Topics in CSV. A quotation mark that is never closed costs its own row, not the rows after it.

The csv module alone would read everything up to the next quotation mark as one field. So a row is
tried line by line: a quoted field may go on over the next lines only as long as none of them reads
as a full row of its own and the whole ends as a row of the header's width.
"""

import csv
from collections.abc import Iterator

from pipeline.domain import Topic
from pipeline.errors import Rejected
from pipeline.providers.topics_row import Problem, Row, csv_columns, split_facts, unknown_name

LINES_A_ROW = 50
DELIMITERS = (",", ";", "\t")


def csv_rows(file: str, text: str) -> Iterator[Row | Problem]:
    """Rows in order; raises `Rejected` at once when the header does not name a topic column."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = next(index for index, line in enumerate(lines) if line.strip())
    delimiter, header = _header(file, lines[at], at + 1)
    return _body(lines, at, delimiter, header)


def _header(file: str, line: str, number: int) -> tuple[str, list[str]]:
    for delimiter in DELIMITERS:
        names = [name.strip() for name in _parsed(line, delimiter) or []]
        folded = [name.casefold() for name in names]
        if "topic" in folded:
            twice = sorted({name for name in folded if name and folded.count(name) > 1})
            if twice:
                raise Rejected(f"{file}, line {number}: the column {twice[0]!r} is there twice")
            return delimiter, names
    raise Rejected(
        f"{file}, line {number}: the first line must name the columns, {csv_columns()}"
        f" in any order, not {line.strip()[:60]!r}"
    )


def _body(
    lines: list[str], header_at: int, delimiter: str, header: list[str]
) -> Iterator[Row | Problem]:
    names = [name.casefold() for name in header]
    known = {name for name in names if name in csv_columns().split(",")}
    for name, original in zip(names, header, strict=True):
        if name and name not in known:
            yield Problem(header_at + 1, unknown_name(original))
    at = header_at + 1
    while at < len(lines):
        if not lines[at].strip(f" {delimiter}"):
            at += 1
            continue
        cells, used = _row(lines, at, delimiter, len(header))
        if cells is None:
            yield Problem(at + 1, "a quotation mark is not closed, or text follows the closing one")
        elif len(cells) != len(header):
            yield Problem(
                at + 1,
                f"{len(cells)} columns where the header has {len(header)}; a text with"
                f" {delimiter!r} in it needs quotation marks around it",
            )
        else:
            yield Row(at + 1, _topic(dict(zip(names, cells, strict=True))))
        at += used


def _row(lines: list[str], at: int, delimiter: str, width: int) -> tuple[list[str] | None, int]:
    """The cells of the row that begins at a line, None when it is broken, and its lines."""
    cells = _parsed(lines[at], delimiter)
    if cells is not None:
        return cells, 1
    joined = lines[at]
    for more, line in enumerate(lines[at + 1 : at + LINES_A_ROW], start=2):
        if _is_full_row(line, delimiter, width):
            break
        joined += "\n" + line
        cells = _parsed(joined, delimiter)
        if cells is not None:
            return (cells, more) if len(cells) == width else (None, 1)
    return None, 1


def _is_full_row(line: str, delimiter: str, width: int) -> bool:
    """Whether a line within a quoted field is rather a row; one with an odd mark closes it."""
    cells = _parsed(line, delimiter)
    return cells is not None and len(cells) == width > 1 and line.count('"') % 2 == 0


def _parsed(text: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _topic(cells: dict[str, str]) -> Topic:
    return Topic(
        topic=cells["topic"],
        facts=split_facts(cells.get("facts", "")),
        source_url=cells.get("source_url") or None,
        niche=cells.get("niche") or None,
        language=cells.get("language", "").strip() or "en",
    )
