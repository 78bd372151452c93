"""The SQL of the application: named statements in db/sql/*.sql, loaded once.

A file holds one aggregate's statements, each begun by a header:

    -- name: video_claim :maybe
    -- parameters: video_id, worker
    -- Why, when that is not obvious.
    UPDATE videos ... WHERE id = $1 ...

The cardinality says what running it returns: `:one` a row (RowNotFound if there is none), `:maybe`
a row or None, `:many` a list of rows, `:exec` the number of rows touched. Parameters stand in the
order of $1, $2, ...; a statement without any says `-- parameters: none`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, cast

import asyncpg

from db.errors import RowNotFound, translated
from db.pool import Connection

Cardinality = Literal["one", "maybe", "many", "exec"]

_HEADER = re.compile(r"^-- name: *(?P<name>\S+) +:(?P<cardinality>\w+) *$", re.MULTILINE)
_PARAMETERS = re.compile(r"\A\n-- parameters: *(?P<names>[a-z0-9_, ]+?) *\n")
_PLACEHOLDER = re.compile(r"\$(\d+)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement. Run it by the method of its cardinality, arguments by keyword."""

    name: str
    cardinality: Cardinality
    parameters: tuple[str, ...]
    sql: str

    def bind(self, arguments: Mapping[str, Any]) -> list[Any]:
        """The arguments in the order of $1, $2, ...; TypeError if they are not exactly ours."""
        if arguments.keys() != set(self.parameters):
            raise TypeError(
                f"statement {self.name} takes ({', '.join(self.parameters)}), "
                f"got ({', '.join(arguments)})"
            )
        return [arguments[name] for name in self.parameters]

    async def one(self, connection: Connection, **arguments: Any) -> asyncpg.Record:
        """The single row; RowNotFound if there is none."""
        row = await self._row(connection, "one", arguments)
        if row is None:
            raise RowNotFound(f"statement {self.name} found no row")
        return row

    async def maybe(self, connection: Connection, **arguments: Any) -> asyncpg.Record | None:
        """The single row, or None."""
        return await self._row(connection, "maybe", arguments)

    async def many(self, connection: Connection, **arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        self._require("many")
        with translated():
            return await connection.fetch(self.sql, *self.bind(arguments))

    async def rows(self, connection: Connection, **arguments: Any) -> list[asyncpg.Record]:
        """Its rows whatever its cardinality, for callers that dispatch by name (none for :exec)."""
        with translated():
            return await connection.fetch(self.sql, *self.bind(arguments))

    async def exec(self, connection: Connection, **arguments: Any) -> int:
        """Run it for its effect; the number of rows touched."""
        self._require("exec")
        with translated():
            tag = await connection.execute(self.sql, *self.bind(arguments))
        return affected_rows(tag)

    async def exec_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once a row of arguments, pipelined; all or none even outside a transaction."""
        self._require("exec")
        with translated():
            await connection.executemany(self.sql, [self.bind(row) for row in rows])

    async def _row(
        self, connection: Connection, cardinality: Cardinality, arguments: Mapping[str, Any]
    ) -> asyncpg.Record | None:
        self._require(cardinality)
        with translated():
            return await connection.fetchrow(self.sql, *self.bind(arguments))

    def _require(self, cardinality: Cardinality) -> None:
        if cardinality != self.cardinality:
            raise TypeError(f"statement {self.name} is :{self.cardinality}, not :{cardinality}")


def affected_rows(command_tag: str) -> int:
    """The count at the end of a command tag such as 'UPDATE 3'; 0 for one without a count."""
    last = command_tag.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def parse(text: str, *, source: str) -> dict[str, Statement]:
    """Statements of one file's text by name, in order; ValueError says what is wrong and where."""
    headers = list(_HEADER.finditer(text))
    names_in_text = text.count("-- name:")
    if len(headers) != names_in_text:
        raise ValueError(f"{source}: {names_in_text - len(headers)} malformed '-- name:' line(s)")
    statements: dict[str, Statement] = {}
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() : following.start() if following else len(text)]
        statement = _statement(header["name"], header["cardinality"], body, source=source)
        if statement.name in statements:
            raise ValueError(f"{source}: statement {statement.name} is there twice")
        statements[statement.name] = statement
    return statements


def _statement(name: str, cardinality: str, body: str, *, source: str) -> Statement:
    where = f"{source}: statement {name}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: a name is lower case letters, digits and _")
    if cardinality not in ("one", "maybe", "many", "exec"):
        raise ValueError(f"{where}: cardinality :{cardinality} is none of :one :maybe :many :exec")
    listed = _PARAMETERS.match(body)
    if listed is None:
        raise ValueError(f"{where}: the line after its name must be '-- parameters: a, b' or none")
    names = [part.strip() for part in listed["names"].split(",")]
    parameters = () if names == ["none"] else tuple(names)
    if len(set(parameters)) != len(parameters) or not all(map(_NAME.fullmatch, parameters)):
        raise ValueError(f"{where}: parameters must be distinct names, got {listed['names']!r}")
    rest = body[listed.end() :]
    comments = re.match(r"(?:--.*\n)*", rest)
    sql = rest[comments.end() if comments else 0 :].strip().removesuffix(";").rstrip()
    if not sql:
        raise ValueError(f"{where} has no SQL")
    code = "\n".join(line.partition("--")[0] for line in sql.splitlines())
    used = {int(number) for number in _PLACEHOLDER.findall(code)}
    if used != set(range(1, len(parameters) + 1)):
        raise ValueError(
            f"{where}: lists {len(parameters)} parameters but uses "
            f"{', '.join(f'${n}' for n in sorted(used)) or 'none'}"
        )
    return Statement(name, cast(Cardinality, cardinality), parameters, sql)


@cache
def load(aggregate: str) -> Mapping[str, Statement]:
    """The statements of db/sql/<aggregate>.sql by name; read and checked once a process."""
    file = resources.files("db") / "sql" / f"{aggregate}.sql"
    return MappingProxyType(parse(file.read_text(encoding="utf-8"), source=f"{aggregate}.sql"))


def aggregates() -> list[str]:
    """The names that load() takes, sorted."""
    folder = resources.files("db") / "sql"
    names = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".sql") for name in names if name.endswith(".sql"))
