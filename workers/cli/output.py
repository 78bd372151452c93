"""What every command shares: exit codes, errors, JSON, tables and shortened ids."""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_ID_PREFIX = re.compile(r"[0-9a-f-]{1,36}")


class ExitCode(IntEnum):
    """What a command's end means; see docs/reference/cli.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNHEALTHY = 5
    TRY_AGAIN = 75


class CommandError(Exception):
    """Ends the command with a message on stderr and an exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


def stdout() -> Console:
    """Where data goes. Wide when nobody looks, so that a pipe never gets wrapped lines."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def stderr() -> Console:
    """Where messages go."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON document: ids as text, times in UTC, money as numbers."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def as_items(items: Iterable[Any], next_cursor: str | None = None) -> dict[str, Any]:
    """The shape of every list."""
    return {"items": list(items), "next_cursor": next_cursor}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or the sentence `empty` when there is no row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    stdout().print(table if table.row_count else empty)


def short(id_: UUID | None) -> str:
    """The start of an id, as people type it."""
    return str(id_)[:8] if id_ else ""


def run_async(command: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine to its end."""
    return asyncio.run(command())


async def resolve_id(
    what: str, prefix: str, list_ids_like: Callable[[str], Awaitable[Sequence[UUID]]]
) -> UUID:
    """The one id that begins with `prefix`; `CommandError` when there is none or more than one."""
    wanted = prefix.strip().lower()
    found = await list_ids_like(wanted) if _ID_PREFIX.fullmatch(wanted) else ()
    if not found:
        raise CommandError(f"there is no {what} {prefix!r}", ExitCode.NOT_FOUND)
    if len(found) > 1:
        raise CommandError(
            f"{prefix!r} is the start of more than one {what}; give more of the id", ExitCode.USAGE
        )
    return found[0]


def parse_time(text: str) -> datetime:
    """An ISO 8601 moment; without an offset it is UTC. Raises `CommandError` for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{text!r} is not a time; give one such as 2026-11-20T18:30:00Z", ExitCode.USAGE
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """The place in a list by age. Raises `CommandError`."""
    if cursor is None:
        return None, None
    moment, _, id_ = cursor.partition("|")
    try:
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(id_)
    except ValueError:
        raise CommandError(
            "--cursor takes the next_cursor of a page before", ExitCode.USAGE
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    # Square brackets are markup to the table's printer, but text to the operator.
    return str(value).replace("[", "\\[")
