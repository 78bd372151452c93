"""What a worker holds: one claim a fetched job, which every later write must still match."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from procrastinate import jobs

from workers.queue.outcomes import Outcome

ALONE_AFTER_CRASHES = 2


@dataclass(slots=True)
class Claim:
    """One run of one job by one worker. The first five fields are the fence.

    `error`, `outcome` and `goes_back` are left by the middleware for the ending that follows;
    `settled` is the status the job got when the task ended it in its own transaction.
    """

    job: jobs.Job
    job_id: UUID
    number: int
    worker_id: int
    started_at: datetime
    crashes: int
    max_attempts: int | None
    error: str | None = None
    error_class: str | None = None
    outcome: Outcome | None = None
    goes_back: bool = False
    settled: str | None = None

    def fence(self) -> dict[str, Any]:
        """The arguments of job_end that say which run."""
        return {
            "id": self.job_id,
            "claim": self.number,
            "worker_id": self.worker_id,
            "started_at": self.started_at,
        }

    @property
    def runs_alone(self) -> bool:
        """After two crashes a job runs alone, so that a third is surely its own."""
        return self.crashes >= ALONE_AFTER_CRASHES


@dataclass(slots=True)
class Claims:
    """The claims of one process, found by the very Job object that a fetch returned.

    By object and not by id: a worker that lost a job and fetched it again runs both for a while,
    and each must end its own run.
    """

    _by_object: dict[int, Claim] = field(default_factory=dict)

    def add(self, claim: Claim) -> None:
        self._by_object[id(claim.job)] = claim

    def find(self, job: jobs.Job) -> Claim | None:
        return self._by_object.get(id(job))

    def remove(self, claim: Claim) -> None:
        self._by_object.pop(id(claim.job), None)

    def of_worker(self, worker_id: int) -> list[Claim]:
        return [claim for claim in self._by_object.values() if claim.worker_id == worker_id]
