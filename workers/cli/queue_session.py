"""What the commands about jobs and queues share: the pool, ids, and who is asking."""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from db.errors import ConstraintViolated, InvalidValue
from db.pool import Pool, acquired
from db.repositories.jobs import AlreadyWaiting, IdempotencyConflict, Jobs
from workers.cli.output import CommandError, ExitCode, resolve_id, run_async
from workers.cli.session import session

T = TypeVar("T")


def run(operation: Callable[[Pool], Awaitable[T]]) -> T:
    """Run one operation on the database of the settings. What the table refuses is usage; a key or
    a lock that is taken is a conflict."""

    async def command() -> T:
        async with session() as opened:
            return await operation(opened.pool)

    try:
        return run_async(command)
    except (IdempotencyConflict, AlreadyWaiting) as error:
        raise CommandError(str(error), ExitCode.CONFLICT) from error
    except (ConstraintViolated, InvalidValue) as error:
        raise CommandError(str(error), ExitCode.USAGE) from error


async def full_id(pool: Pool, prefix: str) -> UUID:
    """The id of the job that `prefix` begins."""
    async with acquired(pool) as connection:
        return await resolve_id("job", prefix, Jobs(connection).find_by_prefix)


def note_of(verb: str, reason: str | None) -> str:
    """What `last_error` says about something done by hand, and by whom."""
    return f"{verb} by {person()}" + (f": {reason}" if reason else "")


def person() -> str:
    """Who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def ago(moment: datetime | None, now: datetime) -> str:
    """A time as a distance from now: 'in 5m', '12s ago'."""
    if moment is None:
        return ""
    seconds = (moment - now).total_seconds()
    return f"in {brief(seconds)}" if seconds > 0 else f"{brief(-seconds)} ago"


def brief(seconds: float) -> str:
    """A duration in its two largest units at most: 45s, 12m, 3h 5m, 2d 4h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"
