"""Procrastinate's JobManager with a fence: only the run that holds a job may end it.

What it changes, and why:
- fetch remembers the claim, survives database errors, and runs a job that crashed twice alone;
- finish and retry are guarded by the claim and repeated until the database has answered;
- a job that its own transaction has ended (workers.queue.completion) is left alone;
- a registered worker is present in the database until it is unregistered (workers.queue.presence);
- no side task of a worker dies of a database error, for that would stop the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog
from procrastinate import exceptions, jobs, manager, utils

from db.errors import Contended, DatabaseError, Unavailable
from db.pool import connect
from pipeline.failpoints import Point, reach
from workers.queue.claims import Claim, Claims
from workers.queue.connector import JobQueueConnector
from workers.queue.listening import pause_before
from workers.queue.outcomes import Fail, Finish, Retry, ending_arguments, plain_arguments
from workers.queue.presence import Presence
from workers.queue.translation import to_column_priority

logger = structlog.get_logger(__name__)

START_PATIENCE_SECONDS = 30.0
FETCH_PATIENCE_SECONDS = 10.0
STOPPING_PATIENCE_SECONDS = 10.0

T = TypeVar("T")


@dataclass(slots=True)
class WorkerIdentity:
    """Who registers: set by run_worker() around Procrastinate's worker, which does not tell."""

    name: str = "worker"
    queues: list[str] | None = None
    worker_id: int | None = None


registering: ContextVar[WorkerIdentity | None] = ContextVar("registering", default=None)


class JobQueueManager(manager.JobManager):
    """See the module. `knows_task` tells whether a job_type has a task here."""

    connector: JobQueueConnector

    def __init__(self, connector: JobQueueConnector, *, knows_task: Callable[[str], bool]) -> None:
        super().__init__(connector)
        self.claims = Claims()
        self._knows_task = knows_task
        self._presences: dict[int, Presence] = {}
        #: From the queues of a worker to those it may take jobs from now (None: all).
        self.limit_queues: Callable[[Iterable[str] | None], list[str] | None] | None = None

    # Workers

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """A worker's first statement, which it repeats for a while when the database is away."""
        return await _repeated(
            lambda: super(JobQueueManager, self).prune_stalled_workers(seconds_since_heartbeat),
            "queue.start_failed",
            patience=START_PATIENCE_SECONDS,
        )

    async def register_worker(self) -> int:
        """A row with host and pid, the session lock, and the sweep that goes on until the end.

        A database that is away is waited for; ConnectorException when it does not come back."""
        identity = registering.get() or WorkerIdentity()
        registered = {
            "name": identity.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queues": identity.queues,
        }
        (row,) = await _repeated(
            lambda: self.connector.run_statement("worker_register", **registered),
            "queue.start_failed",
            patience=START_PATIENCE_SECONDS,
        )
        worker_id = int(row["worker_id"])
        identity.worker_id = worker_id
        presence = Presence(
            worker_id,
            registered=registered,
            open_connection=lambda: connect(
                self.connector.url, application_name=f"ytempire worker {worker_id}"
            ),
            claims=self.claims,
            wake=self.connector.wake,
        )

        async def show() -> None:
            try:
                await presence.start()
            except DatabaseError as error:
                raise exceptions.ConnectorException(str(error)) from error

        await _repeated(show, "queue.start_failed", patience=START_PATIENCE_SECONDS)
        self._presences[worker_id] = presence
        return worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """Give back what is still held and note the end. Without a database the rescue will."""
        presence = self._presences.pop(worker_id, None)
        if presence is not None:
            await presence.stop()
        try:
            await self.connector.run_statement(
                "worker_release_strays", worker_id=worker_id, running=[], claims=[]
            )
            await super().unregister_worker(worker_id)
        except exceptions.ConnectorException as error:
            logger.warning("queue.unregister_failed", worker_id=worker_id, error=str(error))

    async def update_heartbeat(self, worker_id: int) -> None:
        """Quiet when the database is away: the presence goes on trying every second."""
        try:
            await super().update_heartbeat(worker_id)
        except exceptions.ConnectorException as error:
            logger.warning("queue.heartbeat_failed", worker_id=worker_id, error=str(error))

    def stop_waiting(self, worker_id: int) -> None:
        """The worker is stopping: end its jobs while the database answers, but not forever."""
        presence = self._presences.get(worker_id)
        if presence is not None:
            presence.stopping = True

    def is_stopping(self, worker_id: int) -> bool:
        """Whether the worker takes no more jobs, or is none of this process."""
        presence = self._presences.get(worker_id)
        return presence is None or presence.stopping

    # Jobs

    def claim_of(self, job: jobs.Job) -> Claim:
        """The claim of a job that this process is running; LookupError for any other."""
        claim = self.claims.find(job)
        if claim is None:
            raise LookupError(
                f"job {job.id} is not being run by this process: pass the context of the running "
                "task, with the job as the worker made it"
            )
        return claim

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """The next job, or None. A database that is away is waited for, but not for long:
        Procrastinate asks again, and its worker must notice a stop."""
        presence = self._presences.get(worker_id)
        served = None if queues is None else list(queues)
        while True:
            running = self.claims.of_worker(worker_id)
            if any(claim.runs_alone for claim in running):
                return None
            wanted = served if self.limit_queues is None else self.limit_queues(served)
            if wanted == []:
                return None
            told = self.connector.told
            record = await self._fetch_record(
                wanted, worker_id, busy=bool(running), presence=presence
            )
            if record is None:
                return None
            if record["id"] is not None:
                job = await self._job_of(record, presence)
                if job is not None:
                    return job
            elif self.connector.told == told:
                due = record["next_due_seconds"]
                if presence is not None and due is not None and due < 3600:
                    presence.wake_in(due)
                return None
            # Else a job was announced while this fetch looked elsewhere, and Procrastinate forgets
            # what it was told during a fetch.

    async def _job_of(self, record: asyncpg.Record, presence: Presence | None) -> jobs.Job | None:
        """What was fetched, as Procrastinate knows it. None when it cannot be read: that job fails,
        for it would come back, first in order, for ever."""
        try:
            row = self.connector.job_row(record)
            return jobs.Job.from_row(row) if presence is None else self._claimed(row)
        except Exception as error:  # whatever the application's json_loads raises
            logger.exception("queue.job_unreadable", job_id=record["id"])
            refused = Fail(
                error=f"it cannot be read: {type(error).__name__}: {error}",
                error_class=type(error).__name__,
            )
        with contextlib.suppress(exceptions.ConnectorException):  # then the sweep puts it back
            await self.connector.run_statement(
                "job_end",
                id=UUID(record["id"]),
                claim=record["claim"],
                worker_id=record["worker_id"],
                started_at=record["started_at"],
                **ending_arguments(refused),
            )
        return None

    def _claimed(self, row: dict[str, Any]) -> jobs.Job:
        job = jobs.Job.from_row(row)
        self.claims.add(
            Claim(
                job=job,
                job_id=UUID(row["id"]),
                number=row["claim"],
                worker_id=row["worker_id"],
                started_at=row["started_at"],
                crashes=row["crashes"],
                max_attempts=row["max_attempts"],
            )
        )
        return job

    async def _fetch_record(
        self,
        queues: list[str] | None,
        worker_id: int,
        *,
        busy: bool,
        presence: Presence | None,
    ) -> asyncpg.Record | None:
        arguments = {"queues": queues, "worker_id": worker_id, "busy": busy}
        deadline = time.monotonic() + FETCH_PATIENCE_SECONDS
        attempt = 0
        while True:
            try:
                async with contextlib.nullcontext() if presence is None else presence.fetching:
                    (record,) = await self.connector.run_statement("job_fetch", **arguments)
                    return record
            except exceptions.ConnectorException as error:
                if not is_passing(error):
                    raise
                logger.warning("queue.fetch_failed", worker_id=worker_id, error=str(error))
                stopping = presence is not None and presence.stopping
                if stopping or time.monotonic() > deadline:
                    return None
                await asyncio.sleep(pause_before(attempt))
                attempt += 1

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        """End the run as the middleware noted, or else as Procrastinate says; fenced."""
        claim = self.claims.find(job)
        if claim is None:
            await super().finish_job(job, status, delete_job)
            return
        error, error_class = claim.error, claim.error_class
        if status is not jobs.Status.SUCCEEDED and error is None:
            error, error_class = self._explain(job, status)
        if claim.goes_back:
            arguments = plain_arguments("release", error, error_class)
        elif claim.outcome is not None:
            arguments = ending_arguments(claim.outcome)
        elif status is jobs.Status.SUCCEEDED:
            arguments = ending_arguments(Finish())
        elif status is jobs.Status.ABORTED:
            arguments = plain_arguments("aborted", error, error_class)
        else:
            arguments = ending_arguments(Fail(error=error or "failed", error_class=error_class))
        await self._end(claim, {**arguments, "delete": delete_job})

    async def retry_job(
        self,
        job: jobs.Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Put the job back, fenced. The moment is kept as a distance from now and counted on the
        database's clock: retry strategies compute it on the clock of this host."""
        claim = self.claims.find(job)
        if claim is None:
            await super().retry_job(job, retry_at, priority, queue, lock)
            return
        if claim.goes_back or claim.outcome is not None:
            await self.finish_job(job, jobs.Status.FAILED, delete_job=False)
            return
        delay = timedelta(0) if retry_at is None else retry_at - utils.utcnow()
        outcome = Retry(
            at=max(delay, timedelta(0)),
            error=claim.error or "to be tried again",
            error_class=claim.error_class,
            priority=None if priority is None else to_column_priority(priority),
            queue=queue,
            lock=lock,
        )
        await self._end(claim, ending_arguments(outcome))

    def _explain(self, job: jobs.Job, status: jobs.Status) -> tuple[str, str]:
        if not self._knows_task(job.task_name):
            message = (
                f"unknown job_type {job.task_name!r}: the worker that took it knows no such task; "
                "correct the name and enqueue it anew, or run a worker that knows it"
            )
            return message, "TaskNotFound"
        return f"the task ended as {status.value} without an error", "Unknown"

    async def _end(self, claim: Claim, arguments: dict[str, Any]) -> None:
        """Repeat until the database has answered. Ours no longer: somebody else ended or runs it,
        and nothing is to be done."""
        try:
            if claim.settled is None:
                record = await self._persist("job_end", claim, {**claim.fence(), **arguments})
                if record is None or record["status"] is None:
                    logger.warning(
                        "queue.claim_lost", job_id=str(claim.job_id), outcome=arguments["outcome"]
                    )
            elif arguments["delete"] and claim.settled == arguments["outcome"]:
                await self._persist(
                    "job_delete_ended", claim, {"id": claim.job_id, "claim": claim.number}
                )
        finally:
            self.claims.remove(claim)
            self.connector.wake()
        await reach(Point.AFTER_FINISH, claim.job.task_name)

    async def _persist(self, name: str, claim: Claim, arguments: dict[str, Any]) -> Any:
        attempt = 0
        stopping_since: float | None = None
        while True:
            try:
                rows = await self.connector.run_statement(name, **arguments)
                return rows[0] if rows else None
            except exceptions.ConnectorException as error:
                if not is_passing(error):
                    raise
                presence = self._presences.get(claim.worker_id)
                if presence is None or presence.stopping:
                    stopping_since = stopping_since or time.monotonic()
                    if time.monotonic() - stopping_since > STOPPING_PATIENCE_SECONDS:
                        raise
                logger.warning(
                    "queue.ending_failed",
                    job_id=str(claim.job_id),
                    error=str(error),
                    attempt=attempt,
                )
                await asyncio.sleep(pause_before(attempt))
                attempt += 1

    async def defer_periodic_job(
        self, job: jobs.Job, periodic_id: str, defer_timestamp: int
    ) -> int | None:
        """Repeated while the database is away: a failure here would stop the worker."""
        return await _repeated(
            lambda: super(JobQueueManager, self).defer_periodic_job(
                job, periodic_id, defer_timestamp
            ),
            "queue.periodic_failed",
            task=job.task_name,
        )


async def _repeated(
    call: Callable[[], Awaitable[T]], event: str, *, patience: float = math.inf, **about: object
) -> T:
    """What `call` returns, once the database answers. After `patience` seconds its error leaves."""
    deadline = time.monotonic() + patience
    attempt = 0
    while True:
        try:
            return await call()
        except exceptions.ConnectorException as error:
            if not is_passing(error) or time.monotonic() > deadline:
                raise
            logger.warning(event, error=str(error), attempt=attempt, **about)
            await asyncio.sleep(pause_before(attempt))
            attempt += 1


def is_passing(error: exceptions.ConnectorException) -> bool:
    """Whether the same call may succeed later: no answer, or another transaction in the way."""
    return isinstance(error.__cause__, (Unavailable, Contended))
