"""A row of a topics file, whatever its format."""

import difflib
from dataclasses import dataclass

from pipeline.domain import Topic

COLUMNS = ("topic", "facts", "source_url", "niche", "language")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a part of the file was not used; `line` counts from 1, as editors do."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A topic as it stands in the file, not yet checked, and the line where it begins."""

    line: int
    topic: Topic


def csv_columns() -> str:
    """The header of a topics file."""
    return ",".join(COLUMNS)


def split_facts(text: str) -> tuple[str, ...]:
    """Facts of one cell, divided by vertical bars."""
    return tuple(fact for part in text.split("|") if (fact := part.strip()))


def unknown_name(name: str) -> str:
    """The reason for a column or key that is none of ours, with the one that was perhaps meant."""
    near = difflib.get_close_matches(name.casefold().strip(), COLUMNS, n=1)
    hint = f"; is it {near[0]!r}?" if near else ""
    return f"{name[:60]!r} is not one of {csv_columns()} and is not read{hint}"
