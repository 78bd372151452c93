"""Jobs that come twice, files that are not what they were, and a job that kills its workers."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.domain import StageName
from pipeline.failpoints import Point
from pipeline.flow import ROUTES
from tests.matrix.scenes import Scene
from tests.matrix.verdict import judge
from tests.services.faults import Fault
from tests.services.queue_fixtures import eventually

SceneOf = Callable[[StageName], Scene]
every_stage = pytest.mark.parametrize("stage", list(StageName))
AGAIN = """INSERT INTO queue.job_queue (job_type, queue_name, payload)
           VALUES ($1, $2, jsonb_build_object('execution_id', $3::text)) RETURNING id"""
OPEN = """SELECT count(*) FROM queue.job_queue WHERE job_type = $1
          AND status IN ('pending', 'processing')"""


async def deliver_again(scene: Scene) -> None:
    """Enqueue the job of the stage once more, as a hasty operator would."""
    route = ROUTES[scene.stage]
    await scene.execute(AGAIN, route.job_type, route.queue, str(scene.run))
    await scene.let_go()


async def all_done(scene: Scene) -> None:
    await eventually(lambda: _none_open(scene))


async def _none_open(scene: Scene) -> bool:
    return not await scene.value(OPEN, ROUTES[scene.stage].job_type)


@every_stage
async def test_job_delivered_again_while_the_first_runs_does_nothing(
    scene_of: SceneOf, stage: StageName
) -> None:
    scene = scene_of(stage)

    async def twice() -> None:
        await deliver_again(scene)
        await eventually(
            lambda: scene.value(
                "SELECT count(*) = 2 FROM queue.job_queue WHERE job_type = $1"
                " AND status <> 'pending'",
                ROUTES[stage].job_type,
            )
        )

    fault = Fault(stage, Point.BEFORE_INTENT, "do")
    async with scene.worker([fault], do=twice, concurrency=2) as faults:
        await scene.recorded()
        await all_done(scene)
    assert faults.struck
    await judge(scene)


@every_stage
async def test_job_delivered_again_after_the_record_does_nothing(
    scene_of: SceneOf, stage: StageName
) -> None:
    scene = scene_of(stage)
    async with scene.worker():
        await scene.recorded()
        await deliver_again(scene)
        await all_done(scene)
    await judge(scene)


async def test_damaged_film_is_refused_before_anything_is_announced(scene_of: SceneOf) -> None:
    scene = scene_of(StageName.UPLOAD)
    (damaged,) = scene.folder.glob("artifacts/videos/*/video-*")
    _flip_a_byte(damaged)
    async with scene.worker():
        await eventually(
            lambda: scene.value("SELECT status = 'failed' FROM workflow_executions"), within=30
        )
    error = await scene.value("SELECT error_message FROM workflow_executions")
    assert damaged.name in error
    assert scene.world.videos == {}
    assert scene.vendors.youtube.asked("videos.insert") == []


def _flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.chmod(0o644)
    file.write_bytes(content)


@pytest.mark.parametrize("stage", [StageName.SCRIPT, StageName.UPLOAD])
async def test_job_that_kills_its_worker_three_times_is_set_aside(
    scene_of: SceneOf, stage: StageName
) -> None:
    scene = scene_of(stage)
    for _ in range(3):
        worker = scene.start(Fault(stage, Point.BEFORE_INTENT, "exit"))
        assert await eventually(lambda worker=worker: worker.code) == -signal.SIGKILL
        await scene.time_passes(worker)
    (job,) = [job for job in await scene.jobs() if job["job_type"] == ROUTES[stage].job_type]
    assert (job["status"], job["crashes"]) == ("failed", 3)
    assert job["last_error"]
    await scene.reconcile()
    assert await scene.value("SELECT status FROM workflow_executions") == "failed"
    error = await scene.value("SELECT error_message FROM workflow_executions")
    assert stage.value in error
    assert scene.paid == (0, 0)
    assert scene.world.videos == {}
