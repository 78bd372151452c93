"""The queues as a whole: how deep, how old, how fast, and whether they are paused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.pool import Connection
from db.statements import load

STATEMENTS = load("job_queue")
THROUGHPUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One queue now. `oldest_seconds` is how long its next job has been ready; the rates are
    averages a minute over the last five."""

    queue: str
    ready: int
    scheduled: int
    blocked: int
    processing: int
    oldest_seconds: float | None
    completed_per_minute: float
    not_completed_per_minute: float
    paused_at: datetime | None
    paused_by: str | None
    reason: str | None


class Queues:
    """On one connection; never begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def status(self) -> list[QueueStatus]:
        """Every queue that has work, had some in the last five minutes or is paused, by name."""
        depth = {
            r["queue"]: r for r in await STATEMENTS["queue_count_depth"].many(self._connection)
        }
        oldest = {
            r["queue"]: float(r["seconds"])
            for r in await STATEMENTS["queue_find_oldest"].many(self._connection)
        }
        ended = {
            r["queue"]: r
            for r in await STATEMENTS["queue_count_throughput"].many(
                self._connection, seconds=float(THROUGHPUT_SECONDS)
            )
        }
        paused = {
            r["queue"]: r for r in await STATEMENTS["queue_list_paused"].many(self._connection)
        }
        minutes = THROUGHPUT_SECONDS / 60
        return [
            QueueStatus(
                queue=name,
                ready=depth[name]["ready"] if name in depth else 0,
                scheduled=depth[name]["scheduled"] if name in depth else 0,
                blocked=depth[name]["blocked"] if name in depth else 0,
                processing=depth[name]["processing"] if name in depth else 0,
                oldest_seconds=oldest.get(name),
                completed_per_minute=ended[name]["completed"] / minutes if name in ended else 0.0,
                not_completed_per_minute=(
                    ended[name]["not_completed"] / minutes if name in ended else 0.0
                ),
                paused_at=paused[name]["paused_at"] if name in paused else None,
                paused_by=paused[name]["paused_by"] if name in paused else None,
                reason=paused[name]["reason"] if name in paused else None,
            )
            for name in sorted({*depth, *ended, *paused})
        ]

    async def pause(self, queue: str, *, by: str, reason: str | None) -> None:
        """No job of the queue is taken up from now on; running ones go on. A repeat keeps the
        first moment."""
        await STATEMENTS["queue_mark_paused"].exec(
            self._connection, queue_name=queue, paused_by=by, reason=reason
        )

    async def resume(self, queue: str, *, note: str | None = None) -> bool:
        """Take its jobs up again, at once; False if it was not paused. The row keeps `note`."""
        row = await STATEMENTS["queue_mark_resumed"].maybe(
            self._connection, queue_name=queue, reason=note
        )
        return row is not None

    async def now(self) -> datetime:
        """The database's clock, which decides what is due."""
        row = await STATEMENTS["queue_now"].one(self._connection)
        moment: datetime = row["now"]
        return moment
