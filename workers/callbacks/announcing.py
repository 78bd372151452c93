"""Callbacks are announced: who is told what, written in the transaction that made it so.

    run.completed   the run succeeded
    run.failed      it failed, or ran out of time
    run.cancelled   somebody stopped it
    run.waiting     a person must act
    run.deferred    it goes on by itself, but not within five minutes
    video.alert     a published video turned out to be rejected, hidden or never public

The run's own `callback_url` is told all of them; `YTEMPIRE_ALERT_CALLBACK_URL` failures, alerts and
what waits for a person. Both are rows of the outbox; `workers.callbacks.delivery` sends them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.repositories.deliveries import Deliveries
from db.repositories.jobs import enqueue
from pipeline.domain import ExecutionStatus
from workers.runs.overview import Overview, load_overview
from workers.tasks.names import CALLBACK_DELIVER

QUEUE = "default"
PRIORITY = 3
#: Shorter pauses are the ordinary course of a run: nobody needs to know of them.
DEFERRED_SECONDS = 300.0
#: A body must stay below 20 KB; of the texts in it, only the error has no bound of its own.
ERROR_CHARACTERS = 2000

_ENDS = {
    ExecutionStatus.SUCCESS: "run.completed",
    ExecutionStatus.FAILED: "run.failed",
    ExecutionStatus.TIMEOUT: "run.failed",
    ExecutionStatus.CANCELLED: "run.cancelled",
    ExecutionStatus.WAITING: "run.waiting",
}
VIDEO_ALERT = "video.alert"
_ALERTING = frozenset({"run.failed", "run.waiting", VIDEO_ALERT})


async def announce_run(connection: Connection, *, execution_id: UUID) -> None:
    """Announce what a run's status has become, in the transaction that changed it.

    Call it once a change, after the change: every call is another occurrence. Statuses that nobody
    is told of (queued, running, a short pause) announce nothing.
    """
    deliveries = Deliveries(connection)
    subject = await deliveries.find_subject(
        execution_id=execution_id, deferred_seconds=DEFERRED_SECONDS
    )
    if subject is None:
        return
    status = ExecutionStatus(subject.status)
    event = _ENDS.get(status)
    if status is ExecutionStatus.RETRYING and subject.deferred:
        event = "run.deferred"
    if event is not None:
        await _announce(
            connection, execution_id, event, callback_url=subject.callback_url, at=subject.now
        )


async def announce_video(connection: Connection, *, video_id: UUID, problem: str) -> None:
    """Announce what is wrong with a video that is out; a repeat is another occurrence."""
    deliveries = Deliveries(connection)
    execution_id = await deliveries.find_run_of_video(video_id=video_id)
    if execution_id is None:
        return
    subject = await deliveries.find_subject(
        execution_id=execution_id, deferred_seconds=DEFERRED_SECONDS
    )
    if subject is not None:
        await _announce(
            connection,
            execution_id,
            VIDEO_ALERT,
            callback_url=subject.callback_url,
            at=subject.now,
            error=problem,
        )


async def _announce(
    connection: Connection,
    execution_id: UUID,
    event: str,
    *,
    callback_url: str | None,
    at: datetime,
    error: str | None = None,
) -> None:
    recipients: dict[str, str | None] = {}
    if callback_url is not None:
        recipients["run"] = callback_url
    if event in _ALERTING:
        recipients["alert"] = None  # the address is the worker's setting when it is sent
    if not recipients:
        return
    body = {
        "type": event,
        "timestamp": _utc(at),
        "data": _data(await load_overview(connection, execution_id), error),
    }
    for recipient, url in recipients.items():
        delivery_id = await Deliveries(connection).insert(
            execution_id=execution_id, recipient=recipient, event=event, callback_url=url, body=body
        )
        await enqueue_delivery(connection, delivery_id)


async def enqueue_delivery(connection: Connection, delivery_id: UUID) -> None:
    """Insert the job that sends a delivery; the row remembers it."""
    job_id = await enqueue(
        connection,
        job_type=CALLBACK_DELIVER,
        payload={"delivery_id": str(delivery_id)},
        queue=QUEUE,
        priority=PRIORITY,
    )
    await Deliveries(connection).set_job(delivery_id=delivery_id, job_id=job_id)


def _data(overview: Overview, error: str | None) -> dict[str, Any]:
    """What a callback tells of a run, under the names of `run show --json`."""
    shown = overview.document()
    return {
        "execution_id": str(shown["id"]),
        "n8n_execution_id": shown["n8n_execution_id"],
        "status": shown["status"],
        "current_step": shown["current_step"],
        "channel": _plain(shown["channel"]),
        "video": _plain(shown["video"]),
        "cost": _plain(shown["cost"]),
        "error": _shortened(error or shown["error"]),
        "next_retry_at": _plain(shown["next_retry_at"]),
    }


def _shortened(text: str | None) -> str | None:
    if text is None or len(text) <= ERROR_CHARACTERS:
        return text
    return f"{text[: ERROR_CHARACTERS - 15]}... (shortened)"


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case Decimal():
            return float(value)
        case datetime():
            return _utc(value)
        case UUID():
            return str(value)
    return value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
