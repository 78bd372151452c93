"""Database errors in our words: what the caller can do about each, not which driver raised it.

    DatabaseError
    ├── Unavailable            no answer from the server; the same call works once it is back
    │   └── CommitUnknown      the connection died during COMMIT: read back before repeating
    ├── Contended              deadlock, serialization failure, lock timeout: run it again
    ├── ConstraintViolated     the data break a rule of the schema; `constraint` names it
    │   └── UniqueViolated     ... that something is there once; `detail` has the colliding key
    ├── InvalidValue           a value Postgres cannot hold: NUL in text, out of range, too long
    ├── SchemaMissing          no such table, column or function: migrations have not run
    └── RowNotFound            a `:one` statement found no row

Only this module knows the driver's classes. The original error is always the `__cause__`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


class DatabaseError(Exception):
    """Any error from the database; itself only for what has no better name: a bug."""


class Unavailable(DatabaseError):
    """The server gave no answer: down, restarting, full, or the connection broke. Nothing is known
    to have happened; work inside a transaction has not."""


class CommitUnknown(Unavailable):
    """The connection broke while COMMIT was under way: it may or may not have happened."""


class Contended(DatabaseError):
    """Another transaction was in the way; this one was rolled back and may simply be repeated."""


class ConstraintViolated(DatabaseError):
    """The row breaks a CHECK, NOT NULL, foreign key or exclusion. `constraint` is its name."""

    def __init__(self, message: str, *, constraint: str | None, detail: str | None = None) -> None:
        super().__init__(message)
        self.constraint = constraint
        self.detail = detail


class UniqueViolated(ConstraintViolated):
    """Such a row exists already. `detail` is Postgres' own text naming the key and its values."""


class InvalidValue(DatabaseError):
    """A value that Postgres cannot store as it is; repeating the call cannot help."""


class SchemaMissing(DatabaseError):
    """A table, column, type or function is not there: the database is not migrated."""


class RowNotFound(DatabaseError):
    """A statement that must find exactly one row found none."""


# Server-side refusals which pass: connection classes 08 and 53, operator intervention 57.
_PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.InternalClientError,
)
_CONTENTION = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)
_MISSING = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidSchemaNameError,
)
# asyncpg has one class, InterfaceError, for misuse and for a connection that went away; only its
# words tell them apart (read in asyncpg 0.32: connection.py, pool.py, protocol.pyx).
_GONE = (
    "connection is closed",
    "connection was closed",
    "connection has been released",
    "pool is clos",
    "cannot perform operation: connection",
    "underlying connection",
)


def translate(error: BaseException) -> DatabaseError | None:
    """Return our error for one of the driver's (without raising), or None if it is no driver's."""
    if isinstance(error, _PASSING):
        return Unavailable(f"the database did not answer: {error}")
    if isinstance(error, _CONTENTION):
        return Contended(f"another transaction was in the way: {error}")
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolated(
            f"{error.message}: {error.detail}",
            constraint=error.constraint_name,
            detail=error.detail,
        )
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        # Of a CHECK or NOT NULL, the detail is the whole row: long, and with the payload in it.
        whole_row = isinstance(error, asyncpg.CheckViolationError | asyncpg.NotNullViolationError)
        parts = (error.message, None if whole_row else error.detail, error.hint)
        return ConstraintViolated(
            ": ".join(part for part in parts if part),
            constraint=error.constraint_name or error.column_name,
            detail=error.detail,
        )
    if isinstance(error, (asyncpg.DataError, asyncpg.ProgramLimitExceededError)):
        return InvalidValue(f"the database cannot hold this value: {error}")
    if isinstance(error, _MISSING):
        return SchemaMissing(
            f"{error} (the database is not migrated to this version; run: ytempire db migrate)"
        )
    if isinstance(error, asyncpg.InterfaceError):
        words = str(error)
        if any(phrase in words for phrase in _GONE):
            return Unavailable(f"the connection to the database is gone: {words}")
        if words.startswith("invalid input for query argument"):  # refused before it was sent
            return InvalidValue(f"the database cannot hold this value: {words}")
        return DatabaseError(words)
    if isinstance(error, asyncpg.PostgresError):
        return DatabaseError(f"{type(error).__name__}: {error}")
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors for the driver's inside the block, which must do nothing but talk to the
    database: there an OSError or TimeoutError means an unreachable server."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        ours = translate(error)
        if ours is None:  # pragma: no cover - translate() covers the three roots
            raise
        raise ours from error
    except OSError as error:
        raise Unavailable(f"the database cannot be reached: {error}") from error
