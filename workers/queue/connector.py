"""Procrastinate on our job_queue table: its named queries, run as our statements over asyncpg.

A connector belongs to the event loop that opened it. Beside the pool it opens one connection of its
own to LISTEN on, because a pooled one is given back after every statement.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import structlog
from procrastinate import connector, exceptions, manager, types

from db.errors import DatabaseError, InvalidValue, UniqueViolated
from db.pool import Connection, Pool, acquired, connect, encode_json, open_pool
from db.repositories.jobs import check_names
from db.statements import Statement, load
from workers.queue import translation
from workers.queue.listening import Listener

logger = structlog.get_logger(__name__)

STATEMENTS = load("job_queue")
QUEUEING_LOCK_INDEX = "uq_queue_queueing_lock"


class JobQueueConnector(connector.BaseAsyncConnector):
    """Runs Procrastinate's queries on `queue.job_queue`.

    Every error of the database leaves as ConnectorException with its cause; use before opening is
    AppNotOpen; synchronous use from a thread without the connector's loop is refused.

    Args:
        url: where the database is; for the pool, if none is given, and for LISTEN.
        pool: the application's pool, which stays its own: closing the connector leaves it open.
        json_dumps, json_loads: encode and decode the arguments of tasks, and nothing else.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: Pool | None = None,
        json_dumps: Callable[[Any], str] | None = None,
        json_loads: Callable[[str], Any] | None = None,
        max_pool_size: int = 10,
    ) -> None:
        self.url = url
        self.json_dumps = json_dumps
        self.json_loads = json_loads
        self._encode: Callable[[Any], str] = json_dumps or encode_json
        self._decode: Callable[[str], Any] = json_loads or json.loads
        self._max_pool_size = max_pool_size
        self._given_pool = pool
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        #: How many notifications have come, those of wake() included.
        self.told = 0

    @property
    def pool(self) -> Pool:
        """The open pool; AppNotOpen before open_async()."""
        if self._pool is None:
            raise exceptions.AppNotOpen
        if self._loop is not None and self._loop is not _running_loop():
            raise exceptions.SyncConnectorConfigurationError(
                "this connector belongs to the event loop that opened it. Defer with "
                "`await task.defer_async(...)`, or in a synchronous task of a worker; a thread "
                "without that loop can call asyncio.run_coroutine_threadsafe()"
            )
        return self._pool

    async def open_async(self, pool: Pool | None = None) -> None:
        """Open; a repeat does nothing. Refuses a Procrastinate whose queries are not ours."""
        if self._pool is not None:
            return
        translation.query_names()
        self._loop = asyncio.get_running_loop()
        self._given_pool = pool or self._given_pool
        try:
            self._pool = self._given_pool or await open_pool(
                self.url, max_size=self._max_pool_size, application_name="ytempire queue"
            )
        except DatabaseError as error:
            raise exceptions.ConnectorException(str(error)) from error

    async def close_async(self) -> None:
        """Stop listening and close the pool if it is ours; a repeat does nothing."""
        opened, self._pool = self._pool, None
        if opened is not None and opened is not self._given_pool:
            await opened.close()

    def open(self, pool: Pool | None = None) -> None:
        raise exceptions.SyncConnectorConfigurationError(
            "the job queue speaks asyncpg: open the app with `async with app.open_async():`"
        )

    def close(self) -> None:
        self.open()

    def get_sync_connector(self) -> connector.BaseConnector:
        """The connector itself: synchronous calls in a worker's task run on the worker's loop."""
        if self._pool is None:
            raise exceptions.AppNotOpen(
                "the app is not open; `async with app.open_async():` opens it. A program without "
                "an event loop enqueues with `ytempire enqueue` or with an INSERT into "
                "queue.job_queue"
            )
        return self

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        await self._run(None, query, arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        return self._first(query, await self._run(None, query, arguments))

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        return await self._run(None, query, arguments)

    async def execute_query_one_async_with_connection(
        self, connection: Connection, query: str, **arguments: Any
    ) -> dict[str, Any]:
        return self._first(query, await self._run(connection, query, arguments))

    async def execute_query_all_async_with_connection(
        self, connection: Connection, query: str, **arguments: Any
    ) -> list[dict[str, Any]]:
        return await self._run(connection, query, arguments)

    async def listen_notify(
        self, on_notification: connector.Notify, channels: Iterable[str]
    ) -> None:
        """Call back for every notification until cancelled, through any number of reconnections."""
        listener = Listener(
            open_connection=lambda: connect(self.url, application_name="ytempire listen"),
            channels=tuple(channels),
            on_notification=on_notification,
            on_receipt=self._count,
        )
        self._listeners.add(listener)
        try:
            await listener.run()
        finally:
            self._listeners.discard(listener)

    def wake(self) -> None:
        """Make this process's workers look for jobs now, as a notification would."""
        for listener in self._listeners:
            listener.wake()

    def _count(self) -> None:
        self.told += 1

    @property
    def can_wake(self) -> bool:
        """Whether wake() reaches a worker."""
        return bool(self._listeners)

    async def run_statement(self, statement: str, /, **arguments: Any) -> list[asyncpg.Record]:
        """Run one of our own statements on the pool; its rows. Errors as for every query."""
        return await self._execute(None, STATEMENTS[statement], arguments)

    def job_row(self, record: asyncpg.Record) -> dict[str, Any]:
        """A record as Procrastinate knows it: its statuses, arguments decoded."""
        row = dict(record)
        if row.get("status") is not None:
            row["status"] = translation.STATUS_TO_PROCRASTINATE[row["status"]]
        if row.get("args") is not None:
            row["args"] = self._decode(row["args"])
        if row.get("stats") is not None:
            row["stats"] = {
                translation.STATUS_TO_PROCRASTINATE[status]: count
                for status, count in json.loads(row["stats"]).items()
            }
        return row

    async def _run(
        self, connection: Connection | None, query: str, arguments: dict[str, Any]
    ) -> list[dict[str, Any]]:
        name = translation.name_of(query)
        bound = self._bind(name, arguments)
        records = await self._execute(connection, STATEMENTS[name], bound)
        if name == "finish_job" and not records:
            raise exceptions.ConnectorException(
                f"job {arguments['job_id']} is neither waiting nor running, or does not exist"
            )
        if name == "retry_job" and records[0]["status"] is None:
            raise exceptions.ConnectorException(
                f"job {arguments['job_id']} is neither running nor failed, or does not exist"
            )
        rows = [self.job_row(record) for record in records]
        if name == "cancel_job" and rows[0]["id"] is not None:
            rows[0]["id"] = arguments["job_id"]  # equal to what was given, a uuid.UUID included
        return rows

    def _bind(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name == "defer_jobs":
            return self._columns(arguments["jobs"])
        bound = translation.translate_arguments(name, arguments)
        if "args" in bound:
            bound["args"] = self._encode(bound["args"])
        return bound

    def _columns(self, jobs: list[types.JobToDefer]) -> dict[str, Any]:
        try:
            for job in jobs:
                check_names(job_type=job.task_name, queue=job.queue_name)
        except InvalidValue as error:
            raise exceptions.ConnectorException(str(error)) from error
        return {
            "queue_names": [job.queue_name for job in jobs],
            "task_names": [job.task_name for job in jobs],
            "priorities": [translation.to_column_priority(job.priority) for job in jobs],
            "locks": [job.lock for job in jobs],
            "queueing_locks": [job.queueing_lock for job in jobs],
            "payloads": [self._encode(job.args) for job in jobs],
            "scheduled_at": [job.scheduled_at for job in jobs],
        }

    async def _execute(
        self, connection: Connection | None, statement: Statement, arguments: dict[str, Any]
    ) -> list[asyncpg.Record]:
        try:
            if connection is not None:
                return await statement.rows(connection, **arguments)
            async with acquired(self.pool) as own:
                return await statement.rows(own, **arguments)
        except DatabaseError as error:
            raise _procrastinate_error(error) from error

    def _first(self, query: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        if not rows:
            raise exceptions.NoResult
        return rows[0]


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _procrastinate_error(error: DatabaseError) -> exceptions.ConnectorException:
    if isinstance(error, UniqueViolated):
        if error.constraint != QUEUEING_LOCK_INDEX:
            return exceptions.UniqueViolation(
                str(error), constraint_name=error.constraint, queueing_lock=None
            )
        key = (error.detail or "").partition("(queueing_lock)=(")[2]
        return exceptions.UniqueViolation(
            str(error),
            constraint_name=manager.QUEUEING_LOCK_CONSTRAINT,
            queueing_lock=key.rpartition(")")[0],
        )
    return exceptions.ConnectorException(str(error))
