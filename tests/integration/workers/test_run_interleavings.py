"""People, workers, reconcilers and accidents at the same runs at once: no run is ever half."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import pytest

from db.pool import Pool, open_pool, transaction
from db.repositories.executions import Executions
from db.repositories.steps import Steps
from pipeline.domain import ExecutionStatus, StageName, StepStatus
from pipeline.flow import ROUTES
from tests.integration.workers.runs import add_channel, begin
from workers.runs.control import cancel_run, reject_run
from workers.runs.reconcile import reconcile
from workers.runs.retry import retry_run
from workers.runs.starting import RunConflict, approve_run, enqueue_step

RUNS = 4
ROUNDS = 25
AT_ONCE = 6
STAGE_OF = {route.job_type: stage for stage, route in ROUTES.items()}

#: What holds after every commit, whatever was done: no row may be found.
NEVER = {
    "an ended run with a step at work": """
        SELECT e.id FROM workflow_executions e JOIN workflow_steps s ON s.execution_id = e.id
         WHERE e.status IN ('success', 'failed', 'timeout', 'cancelled')
           AND s.status IN ('running', 'retrying', 'waiting')""",
    "a run whose end is not that of its step": """
        SELECT e.id FROM workflow_executions e
          JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = e.current_step
         WHERE (e.status = 'cancelled') <> (s.status = 'cancelled')
            OR (e.status IN ('failed', 'timeout')) <> (s.status = 'failed')""",
    "a step that was passed over": """
        SELECT e.id FROM workflow_executions e
          JOIN workflow_steps c ON c.execution_id = e.id AND c.step_name = e.current_step
          JOIN workflow_steps s ON s.execution_id = e.id AND s.step_no < c.step_no
         WHERE s.status <> 'success'""",
    "a waiting job of an ended run": """
        SELECT e.id FROM workflow_executions e
          JOIN workflow_steps s ON s.execution_id = e.id
          JOIN queue.job_queue j ON j.id = s.job_id AND j.status = 'pending'
         WHERE e.status IN ('success', 'failed', 'timeout', 'cancelled')""",
    "an ended run without its end": """
        SELECT id FROM workflow_executions
         WHERE (status IN ('success', 'failed', 'timeout', 'cancelled'))
            <> (completed_at IS NOT NULL)""",
}
#: What holds once a reconciler had its turn and nobody else is at work.
ADRIFT = """
    SELECT e.id FROM workflow_executions e
      JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = e.current_step
      LEFT JOIN queue.job_queue j ON j.id = s.job_id AND j.status IN ('pending', 'processing')
     WHERE e.status IN ('pending', 'queued', 'running', 'retrying') AND j.id IS NULL"""


class House:
    """The runs and all that happens to them; each method is one actor's turn."""

    def __init__(self, pool: Pool, chance: random.Random) -> None:
        self.pool, self.chance = pool, chance
        self.runs: list[UUID] = []

    def any_run(self) -> UUID:
        return self.chance.choice(self.runs)

    async def worker(self) -> None:
        """Take a job through claim and record, in the transactions a worker uses."""
        job = await self.pool.fetchrow(
            "UPDATE queue.job_queue SET status = 'processing', started_at = clock_timestamp(),"
            " claim = claim + 1, worker_id = (SELECT min(id) FROM queue.job_workers)"
            " WHERE id = (SELECT id FROM queue.job_queue WHERE status = 'pending'"
            " AND job_type LIKE 'video.%' ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " RETURNING id, job_type, payload"
        )
        if job is None:
            return
        stage, run = STAGE_OF[job["job_type"]], UUID(job["payload"]["execution_id"])
        claim = None
        async with transaction(self.pool) as connection:
            state = await Executions(connection).lock(execution_id=run)
            if state and not ExecutionStatus(state.status).ended and state.current_step == stage:
                claim = await Steps(connection).claim(
                    execution_id=run, step=stage, job_id=job["id"]
                )
                if claim is not None:
                    await Executions(connection).mark_running(execution_id=run, step=stage)
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        if self.chance.random() < 0.1:
            await self._end_job(job["id"], "failed")  # it crashed its workers
            return
        if claim is not None:
            async with transaction(self.pool) as connection:
                await Executions(connection).lock(execution_id=run)
                if await Steps(connection).owned(step_id=claim.id, fence=claim.fence):
                    await self._record(connection, run, stage, claim.id, claim.fence)
        await self._end_job(job["id"], "completed")

    async def _record(
        self, connection: object, run: UUID, stage: StageName, step_id: UUID, fence: int
    ) -> None:
        executions, steps = Executions(connection), Steps(connection)  # type: ignore[arg-type]
        if stage is StageName.UPLOAD and self.chance.random() < 0.5:
            await steps.mark_paused(
                step_id=step_id, fence=fence, status=StepStatus.WAITING, at=None, delay=None,
                error="look at it",
            )  # fmt: skip
            await executions.mark_paused(
                execution_id=run, status=ExecutionStatus.WAITING, at=None, delay=None,
                error="look at it",
            )  # fmt: skip
            return
        await steps.mark_succeeded(step_id=step_id, fence=fence, output={})
        following = ROUTES[stage].next
        if following is None:
            await executions.mark_succeeded(execution_id=run, output_data={})
            return
        await executions.mark_advanced(execution_id=run, next_step=following)
        await enqueue_step(connection, execution_id=run, stage=following, priority=5)  # type: ignore[arg-type]

    async def _end_job(self, job: UUID, end: str) -> None:
        await self.pool.execute(
            "UPDATE queue.job_queue SET status = $2, completed_at = clock_timestamp()"
            " WHERE id = $1 AND status = 'processing'",
            job,
            end,
        )

    async def cancel(self) -> None:
        async with transaction(self.pool) as connection:
            await cancel_run(connection, self.any_run(), by="ada")

    async def retry(self) -> None:
        stage = self.chance.choice([None, *StageName])
        async with transaction(self.pool) as connection:
            await retry_run(connection, self.any_run(), from_step=stage)

    async def approve(self) -> None:
        async with transaction(self.pool) as connection:
            await approve_run(connection, self.any_run(), approved_by="ada")

    async def reject(self) -> None:
        stage = self.chance.choice([None, StageName.SCRIPT, StageName.RENDER])
        async with transaction(self.pool) as connection:
            await reject_run(connection, self.any_run(), by="ada", reason="dull", to_step=stage)

    async def mend(self) -> None:
        await reconcile(self.pool)

    async def lose_a_job(self) -> None:
        await self.pool.execute(
            "DELETE FROM queue.job_queue WHERE id = (SELECT id FROM queue.job_queue"
            " WHERE status = 'pending' ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
        )

    async def run_out_of_time(self) -> None:
        await self.pool.execute(
            "UPDATE workflow_executions SET deadline_at = '2020-01-01' WHERE id = $1",
            self.any_run(),
        )

    async def check(self, where: str) -> None:
        for what, query in NEVER.items():
            found = await self.pool.fetch(query)
            assert not found, f"{where}: {what}: {found}"


@pytest.mark.parametrize("seed", range(4))
async def test_no_run_is_ever_half_and_none_is_lost(database_url: str, seed: int) -> None:
    chance = random.Random(seed)
    pool = await open_pool(database_url, max_size=AT_ONCE + 2)
    try:
        house = House(pool, chance)
        await add_channel(pool)
        await pool.execute("INSERT INTO queue.job_workers (name) VALUES ('tests')")
        house.runs = [(await begin(pool)).execution_id for _ in range(RUNS)]
        turns: list[Callable[[], Awaitable[None]]] = [
            *[house.worker] * 8, house.cancel, *[house.retry] * 2, house.approve, house.reject,
            *[house.mend] * 3, house.lose_a_job, house.run_out_of_time,
        ]  # fmt: skip

        async def turn(actor: Callable[[], Awaitable[None]]) -> None:
            with suppress(RunConflict):
                await actor()

        for number in range(ROUNDS):
            await asyncio.gather(*(turn(chance.choice(turns)) for _ in range(AT_ONCE)))
            await house.check(f"seed {seed}, round {number}")

        await reconcile(pool)
        assert not await pool.fetch(ADRIFT)
        for _ in range(200):
            await house.worker()
            await reconcile(pool)
        going_on = await pool.fetchval(
            "SELECT count(*) FROM workflow_executions"
            " WHERE status IN ('pending', 'queued', 'running', 'retrying')"
        )
        assert going_on == 0
        await house.check(f"seed {seed}, at the end")
    finally:
        await pool.close()
