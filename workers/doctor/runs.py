"""The check of the runs: what is stuck and why, what nobody publishes, what nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Connection, acquired
from db.repositories.findings import Findings, Orphan, StuckRun
from workers.doctor.finding import Examined, Finding, ok, warning

LONG_SECONDS = 600.0
MOST_TOLD = 10
MEND = "ytempire worker --until-idle"


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run that does not go on: since when, why, and the command that helps."""

    execution_id: UUID
    status: str
    step: str | None
    since: datetime
    reason: str
    command: str


async def list_stuck(connection: Connection) -> list[Stuck]:
    """Those that have stood still longest first."""
    rows = await Findings(connection).list_stuck(long_seconds=LONG_SECONDS)
    return [Stuck(r.execution_id, r.status, r.step, r.since, *_why(r)) for r in rows]


def _why(run: StuckRun) -> tuple[str, str]:
    """The reason and the command, the first that is true."""
    show = f"ytempire run show {run.execution_id}"
    if run.status == "waiting":
        verb = "approve" if run.review else "retry"
        return run.error_message or "a person must act", f"ytempire run {verb} {run.execution_id}"
    if run.overdue:
        return "it is past its deadline; a worker ends it", MEND
    if run.job_status is None:
        return "it has no job; a worker gives it one", MEND
    if run.job_status not in ("pending", "processing"):
        return f"its job is {run.job_status}; a worker sees to it", MEND
    if run.worker_gone:
        return "the worker of its job is gone; another one takes it over", MEND
    if run.not_taken and run.queue_paused:
        return f"its queue {run.queue} is paused", f"ytempire queue resume {run.queue}"
    if run.not_taken:
        told = f"no worker takes its job from queue {run.queue}"
        return told, f"ytempire worker --queues {run.queue}"
    return "it is at work and shows no progress", show


def _orphan(orphan: Orphan) -> tuple[str, str]:
    """What there is to tell about a video that no run publishes, and how to go on with it."""
    where = f"channel {orphan.host_channel_id}" if orphan.host_channel_id else "its host"
    what = f"video {orphan.host_video_id}" if orphan.host_video_id else f"marker {orphan.marker}"
    told = (
        f"{what} at {where} belongs to run {orphan.execution_id}, which has ended: delete it there"
    )
    return told, f"ytempire run retry {orphan.execution_id} --from-step upload"


async def runs(examined: Examined) -> Sequence[Finding]:
    """Nothing needs a person's look; the report lists what does."""
    if examined.pool is None:
        return []
    async with acquired(examined.pool) as connection:
        listed = Findings(connection)
        orphans, calls = await listed.list_orphans(), await listed.list_unknown_calls()
        stuck = await list_stuck(connection)
    findings = []
    findings += [warning("runs", *_orphan(orphan)) for orphan in orphans[:MOST_TOLD]]
    if len(orphans) > MOST_TOLD:
        told = f"{len(orphans) - MOST_TOLD} more uploaded videos belong to no run: see --json"
        findings.append(warning("runs", told))
    if calls:
        told = f"{len(calls)} paid calls have an outcome that nobody knows"
        findings.append(warning("runs", told, "ytempire unknown list"))
    findings += [
        warning("runs", f"run {s.execution_id} at {s.step}, {s.status}: {s.reason}", s.command)
        for s in stuck[:MOST_TOLD]
    ]
    if len(stuck) > MOST_TOLD:
        told = f"{len(stuck) - MOST_TOLD} more runs are stuck: see ytempire doctor --json"
        findings.append(warning("runs", told))
    return findings or [ok("runs", "every run has its job and every call its outcome")]
