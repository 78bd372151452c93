"""The connection pool of a process, and the one way to begin a transaction."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from db.errors import CommitUnknown, Unavailable, translate, translated

#: A pooled connection; the two of `Connection` are what statements and repositories take.
if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    PoolConnection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnection
else:  # asyncpg's classes are generic in the stubs only
    Pool = asyncpg.Pool
    PoolConnection = PoolConnectionProxy
    Connection = asyncpg.Connection | PoolConnectionProxy

COMMAND_TIMEOUT_SECONDS = 60.0
# A process that was stopped within a transaction holds its rows until the server ends it.
IDLE_IN_TRANSACTION_SECONDS = 30
SESSION = {
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
}
CONNECT_TIMEOUT_SECONDS = 10.0


def encode_json(value: Any) -> str:
    """JSON text that Postgres stores unchanged. NaN and the infinities raise ValueError: they are
    not JSON; text stays itself (no \\u escapes), so that sizes are what a reader expects."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


async def prepare_connection(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Teach a connection our codecs: json and jsonb as Python values (uuid is native)."""
    for type_name in ("json", "jsonb"):
        await connection.set_type_codec(
            type_name, schema="pg_catalog", encoder=encode_json, decoder=json.loads, format="text"
        )


async def _keep_session(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """asyncpg has rolled back by now; its default RESET would cost a round trip at every release.

    Nothing of ours leaves state in a session: no SET without LOCAL, no LISTEN, no session lock, no
    cursor. What needs such state (the queue's listener, the worker's lock) has its own connection.
    """


async def open_pool(
    url: str, *, min_size: int = 1, max_size: int = 10, application_name: str = "ytempire"
) -> Pool:
    """Open a pool whose connections speak UTC and JSON.

    Raises `Unavailable` when the server does not accept the first connection. The caller closes it.
    """
    with translated():
        return await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            init=prepare_connection,
            reset=_keep_session,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings={"application_name": application_name, **SESSION},
        )


async def connect(url: str, *, application_name: str = "ytempire") -> asyncpg.Connection[Any]:
    """Open one connection outside any pool, for what lives as long as a session (LISTEN, locks)."""
    with translated():
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            server_settings={"application_name": application_name, **SESSION},
        )
        try:
            await prepare_connection(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection


@asynccontextmanager
async def acquired(pool: Pool) -> AsyncIterator[PoolConnection]:
    """A pooled connection outside a transaction: every statement commits by itself."""
    with translated():
        connection = await pool.acquire()
    try:
        yield connection
    finally:
        await pool.release(connection)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[PoolConnection]:
    """Run the block in one transaction: committed at its end, rolled back if it raises.

    Driver errors of the block leave as ours (db.errors). `CommitUnknown` means that the connection
    broke during COMMIT; read back what should have been written before doing it again.
    """
    with translated():
        connection = await pool.acquire()
    try:
        scope = connection.transaction()
        with translated():
            await scope.start()
        try:
            yield connection
        except BaseException as error:
            # A rollback that fails has lost its connection, and with it the transaction; a
            # connection that broke was taken from the pool already.
            try:
                await scope.rollback()
            except (
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                OSError,
            ):
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
            ours = translate(error)
            if ours is not None:
                raise ours from error
            raise
        try:
            with translated():
                await scope.commit()
        except Unavailable as error:
            raise CommitUnknown(f"the outcome of a COMMIT is unknown: {error}") from error
    finally:
        await pool.release(connection)
