"""A file of topics and facts as a source of trends: CSV, JSON, RSS or Atom.

A row that cannot be used is reported with its line and its reason, and the others go in; a file
that cannot be read at all is `Rejected`.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.domain import FoundTopic, Topic
from pipeline.errors import Rejected
from pipeline.providers.topics_csv import csv_rows
from pipeline.providers.topics_feed import feed_rows
from pipeline.providers.topics_json import json_rows
from pipeline.providers.topics_row import Problem, Row, csv_columns
from pipeline.stages.topic_text import clean_topic, normalise_topic

FILE_BYTES = 10_000_000
ROWS = 10_000

__all__ = ["Problem", "TopicsFile", "TopicsRead"]


@dataclass(frozen=True, slots=True)
class TopicsRead:
    """What a file held: the topics in its order, and what is wrong with the rest, by line."""

    topics: tuple[Topic, ...]
    problems: tuple[Problem, ...]


class TopicsFile:
    """The source named `custom`: a file of the operator's own topics."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """`custom`, as stored with its trends."""
        return "custom"

    async def topics(self) -> tuple[FoundTopic, ...]:
        """The usable topics; raises `Rejected` when there are none. `read` tells the problems."""
        found = await asyncio.to_thread(self.read)
        if not found.topics:
            first = found.problems[0]
            raise Rejected(f"{self._path} has no usable topic; line {first.line}: {first.reason}")
        return tuple(map(FoundTopic, found.topics))

    def read(self) -> TopicsRead:
        """All topics and all problems; raises `Rejected` for a file that is missing, empty, too
        large, of no known format, or without a single row."""
        text = _decoded(self._path, _bytes_of(self._path))
        rows = _rows(self._path, text)
        topics: list[Topic] = []
        problems: list[Problem] = []
        seen: dict[tuple[str, str], int] = {}
        count = 0
        for row in rows:
            if isinstance(row, Problem):
                problems.append(row)
                continue
            count += 1
            if count > ROWS:
                problems.append(
                    Problem(row.line, f"only {ROWS:,} topics are read from a file; split it")
                )
                break
            try:
                topic = clean_topic(row.topic)
            except Rejected as error:
                problems.append(Problem(row.line, str(error)))
                continue
            key = (normalise_topic(topic.topic), topic.language.casefold())
            if key in seen:
                problems.append(
                    Problem(row.line, f"{topic.topic[:80]!r} is the topic of line {seen[key]}")
                )
                continue
            seen[key] = row.line
            topics.append(topic)
        if not topics and not problems:
            raise Rejected(f"{self._path} has no topics, only a header; add a row for each topic")
        return TopicsRead(tuple(topics), tuple(sorted(problems, key=lambda p: p.line)))


def _bytes_of(path: Path) -> bytes:
    try:
        # Without O_NONBLOCK a named pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise Rejected(f"there is no topics file {path}") from error
        raise Rejected(f"the topics file {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Rejected(f"{path} is not a file")
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise Rejected(f"{path} is larger than {FILE_BYTES // 1_000_000} MB; split it")
    if not content.strip():
        raise Rejected(f"{path} is empty; its first line names the columns: {csv_columns()}")
    return content


def _decoded(path: Path, content: bytes) -> str | bytes:
    """Text, or the bytes of XML, which declares its encoding itself."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Rejected(f"{path} is UTF-16; save it as UTF-8")
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Rejected(
            f"{path}, line {line}: byte 0x{content[error.start]:02X} is not UTF-8;"
            " save the file as UTF-8"
        ) from error


def _rows(path: Path, text: str | bytes) -> Iterable[Row | Problem]:
    """By what the file contains; its name decides only what an extension says clearly."""
    if isinstance(text, bytes):
        return feed_rows(str(path), text)
    suffix = path.suffix.lower()
    if suffix == ".json" or (suffix not in {".csv", ".tsv"} and text.lstrip()[:1] in {"[", "{"}):
        return json_rows(str(path), text)
    if suffix in {".xml", ".rss", ".atom"}:
        raise Rejected(f"{path} is not XML: it does not start with <")
    return csv_rows(str(path), text)
