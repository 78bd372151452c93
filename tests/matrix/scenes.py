"""Scenes: a run that stands before one stage, with everything outside as it would be then.

A run is taken through the line once, and the database, the data folder and the world of the fake
YouTube are kept as they are before each stage. A test gets copies of the three.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import dataclasses
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

import workers.runtime
from db.pool import open_pool
from pipeline.domain import StageName
from pipeline.flow import ROUTES
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.faults import Fault, Faults, arm_faults, disarm, hurried
from tests.services.forge import Forge, Worker
from tests.services.openai_server import OpenAIServer
from tests.services.queue_fixtures import eventually
from tests.services.small_film import SmallFilms
from tests.services.vendors import elevenlabs_environment, openai_environment
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import World
from workers.app import make_app
from workers.queue.connector import JobQueueConnector
from workers.queue.worker import run_worker
from workers.runs.reconcile import reconcile
from workers.runtime import Runtime
from workers.settings import Settings
from workers.tasks.names import EXTRAS

LONG_AGO = timedelta(hours=1)
LET_GO = """
UPDATE queue.job_queue
   SET scheduled_for = clock_timestamp(),
       next_retry_at = CASE WHEN next_retry_at IS NOT NULL THEN clock_timestamp() END
 WHERE status = 'pending' AND job_type LIKE 'video.%'
"""
LET_GO_STAGE = LET_GO.replace("LIKE 'video.%'", "= $1")
# The time for which a call may still take effect is over, and whatever waits for it is due.
SETTLE = "UPDATE provider_calls SET settle_at = clock_timestamp() WHERE status = 'intent'"
# What is left of a video's extras may be tried again at once.
TRY_EXTRAS = """
UPDATE workflow_steps s
   SET output = jsonb_set(output, '{extras}', (
           SELECT jsonb_agg(extra || '{"until": null}')
             FROM jsonb_array_elements(s.output->'extras') AS extras (extra)))
 WHERE s.step_name = 'upload' AND s.output->'extras' @> '[{"status": "waits"}]'
"""
STATE = """
SELECT s.status AS step, e.status AS run, e.current_step,
       coalesce(s.next_retry_at > clock_timestamp() + interval '5 s', false) AS resting,
       (SELECT count(*) FROM queue.job_queue j WHERE j.job_type = $2
           AND j.status IN ('pending', 'processing')) AS next_jobs
  FROM workflow_steps s JOIN workflow_executions e ON e.id = s.execution_id
 WHERE s.step_name = $1
"""


class NoJitter(random.Random):
    """Retries come at once."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


class Vendors:
    """The three services, one set for all scenes of a process; `reset` gives them new journals."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.openai = self._stack.enter_context(OpenAIServer())
        self.elevenlabs = self._stack.enter_context(ElevenLabsServer(character_seconds=0.02))
        self.youtube = self._stack.enter_context(YouTubeServer())

    def close(self) -> None:
        self._stack.close()

    def reset(self, world: World) -> None:
        for server in (self.openai, self.elevenlabs):
            server.journal.clear()
            server.next.clear()
        # What other scenes have bought is not to be found by this one's look-ups.
        self.elevenlabs.history.clear()
        self.openai.charged.clear()
        self.youtube.become(world)

    def environment(self) -> dict[str, str]:
        return {
            **openai_environment(self.openai),
            **elevenlabs_environment(self.elevenlabs),
            "YTEMPIRE_ELEVENLABS_FORMAT": "pcm_24000",
            "YTEMPIRE_HOST_PROVIDER": "youtube",
            "YTEMPIRE_GOOGLE_API_ROOT": self.youtube.root,
            "YTEMPIRE_GOOGLE_TOKEN_URI": self.youtube.token_uri,
            "YTEMPIRE_SECRET_KEYS": "k1:" + base64.b64encode(b"k" * 32).decode(),
        }


def copied(world: World) -> World:
    """Another world in which all has happened so far; its journal begins anew."""
    kept = {
        field.name: copy.deepcopy(getattr(world, field.name))
        for field in dataclasses.fields(World)
        if field.name not in ("clock", "lock", "journal", "hooks", "faults")
    }
    return World(**kept)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything as it is before a stage."""

    database: str
    folder: Path
    world: World
    run: UUID


@dataclasses.dataclass
class Scene:
    """One test's copy of a snapshot, with the ways to work on it and to look at it."""

    stage: StageName
    url: str
    folder: Path
    run: UUID
    vendors: Vendors
    forge: Forge
    environment: Mapping[str, str]
    renderer: Any = dataclasses.field(default_factory=SmallFilms)

    @property
    def world(self) -> World:
        return self.vendors.youtube.world

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.environment)

    def wire(self, runtime: Runtime) -> Runtime:
        return hurried(dataclasses.replace(runtime, renderer=self.renderer, chance=NoJitter()))

    # -- working ------------------------------------------------------------------------------

    @asynccontextmanager
    async def worker(
        self,
        faults: Sequence[Fault] = (),
        *,
        grace: float = 20.0,
        concurrency: int = 1,
        url: str | None = None,
        do: Callable[[], Any] | None = None,
    ) -> AsyncIterator[Faults]:
        """A worker in this process for the length of the block; `url` is its way to the database,
        `do` what its fault of this name does."""
        trigger = arm_faults(faults, wire=self.wire)
        trigger.do = do
        url = url or self.url
        try:
            async with (
                workers.runtime.open_runtime(self.settings, url, pool_size=6) as runtime,
                make_app(JobQueueConnector(url, pool=runtime.pool)).open_async() as app,
            ):
                task = asyncio.create_task(
                    run_worker(
                        app,
                        concurrency=concurrency,
                        shutdown_graceful_timeout=grace,
                        additional_context={"runtime": runtime},
                        install_signal_handlers=False,
                    )
                )
                try:
                    yield trigger
                finally:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        finally:
            disarm()

    def start(self, fault: Fault) -> Worker:
        """A worker process with one fault armed."""
        return self.forge.start(
            ["worker", "--concurrency", "1"],
            env=self.environment,
            log=self.folder / "worker.log",
            cwd=self.folder,
            faults=[fault],
            fired=self.folder / "fired.jsonl",
        )

    async def struck(self, worker: Worker) -> None:
        """Until the fault of a worker process has fired: it is gone, or it stands still."""

        def down() -> bool:
            if worker.code is not None:
                assert worker.code == -signal.SIGKILL, self.log()
                return True
            try:
                stat = Path(f"/proc/{worker.pid}/stat").read_text()
            except FileNotFoundError:
                return False  # it has gone this very moment, and its code is on the way
            return stat.rpartition(") ")[2].startswith("T")

        await eventually(down, within=60)
        assert (self.folder / "fired.jsonl").exists()

    async def told(self, event: str) -> None:
        """Until the log of the worker processes has the event."""
        await eventually(lambda: event in self.log())

    async def time_passes(self, worker: Worker) -> None:
        """The lease of a worker that shows no life any more has run out: its jobs go back, if it
        has any."""
        await self.execute(
            "UPDATE queue.job_workers SET last_heartbeat = last_heartbeat - $1::interval"
            " WHERE pid = $2 AND stopped_at IS NULL",
            LONG_AGO,
            worker.pid,
        )
        await self.execute("SELECT queue.job_rescue()")

    async def recorded(self) -> None:
        """Until the stage is recorded, what its upload left to a job of its own is done, and its
        successor is queued or the run is complete."""

        async def done() -> bool:
            state = await self.state()
            assert state["run"] not in ("failed", "cancelled", "waiting", "timeout"), (
                dict(state), self.log(),
            )  # fmt: skip
            if state["resting"]:
                await self.execute(SETTLE)
                await self.let_go()
            if state["step"] != "success":
                return False
            if not await self.dressing():
                return True
            await self.execute(TRY_EXTRAS)
            await self.execute(LET_GO_STAGE, EXTRAS)
            return False

        try:
            await eventually(done, within=90)
        except TimeoutError:
            raise AssertionError((dict(await self.state()), await self.jobs())) from None

    async def dressing(self) -> bool:
        """Whether extras of a published video wait for the job that adds them."""
        return any(
            job["job_type"] == EXTRAS and job["status"] in ("pending", "processing")
            for job in await self.jobs()
        )

    async def let_go(self) -> None:
        """Whatever waits of the stage is due now."""
        await self.execute(LET_GO_STAGE, ROUTES[self.stage].job_type)

    async def reconcile(self) -> None:
        """Look for runs without a live job, as a worker does every minute."""
        pool = await open_pool(self.url)
        try:
            await reconcile(pool)
        finally:
            await pool.close()

    # -- looking ------------------------------------------------------------------------------

    async def state(self) -> Any:
        following = ROUTES[self.stage].next
        job_type = ROUTES[following].job_type if following else "none"
        (row,) = await self.rows(STATE, self.stage.value, job_type)
        return row

    async def jobs(self) -> list[dict[str, Any]]:
        return [
            dict(row)
            for row in await self.rows(
                "SELECT job_type, status, attempts, crashes, last_error, scheduled_for,"
                " next_retry_at, worker_id FROM queue.job_queue"
            )
        ]

    def log(self) -> str:
        file = self.folder / "worker.log"
        return file.read_text()[-4000:] if file.exists() else ""

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: Any) -> Any:
        rows = await self.rows(query, *arguments)
        return rows[0][0] if rows else None

    async def execute(self, query: str, *arguments: Any) -> None:
        await self.rows(query, *arguments)

    @property
    def paid(self) -> tuple[int, int]:
        """How often OpenAI and ElevenLabs did work that is charged for."""
        return (
            len(self.vendors.openai.asked("POST", "/responses")),
            len(self.vendors.elevenlabs.asked("POST", "/with-timestamps")),
        )

    @property
    def public(self) -> list[dict[str, Any]]:
        return [v for v in self.world.videos.values() if v["status"]["privacyStatus"] == "public"]
