"""Every stage, at every point, hurt in every way: the run goes on, and nothing happens twice.

What happened is read from the journals of the fake vendors. A cell's name is stage-point-action.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pipeline.domain import StageName
from pipeline.failpoints import Point
from tests.matrix.scenes import Scene
from tests.matrix.verdict import judge
from tests.services.faults import Fault
from tests.services.queue_fixtures import eventually

SceneOf = Callable[[StageName], Scene]
# Points within an upload have several occasions; each that leaves something outside is a case.
# Time passes faster here than outside, but a worker is never stopped for less than this.
SHORTEST_LEASE_SECONDS = 2.0
UPLOAD_CALLS = ("open_upload", "send", "publish", "add_thumbnail", "add_captions")


@dataclass(frozen=True)
class Cell:
    stage: StageName
    fault: Fault

    @property
    def name(self) -> str:
        operation = f".{self.fault.operation}" if self.fault.operation else ""
        number = f"#{self.fault.nth}" if self.fault.nth > 1 else ""
        return f"{self.stage}-{self.fault.point}{operation}{number}-{self.fault.action}"


def cells(*actions: str) -> list[pytest.param]:
    found = [
        Cell(stage, fault)
        for stage in StageName
        for point in Point
        for action in actions
        for fault in faults_at(stage, point, action)
    ]
    return [pytest.param(cell, id=cell.name) for cell in found]


def faults_at(stage: StageName, point: Point, action: str) -> list[Fault]:
    if stage is StageName.UPLOAD and point is Point.AFTER_INTENT:
        return [Fault(stage, point, action, operation="")]
    if stage is StageName.UPLOAD and point is Point.AFTER_SEND:
        return [Fault(stage, point, action, operation=call) for call in UPLOAD_CALLS]
    if stage is StageName.UPLOAD and point is Point.AFTER_RESPONSE:
        return [Fault(stage, point, action, nth=n) for n in (1, 2)]
    return [Fault(stage, point, action)]


async def judge_cell(scene: Scene, cell: Cell) -> None:
    """OpenAI cannot be asked for a response whose id nobody heard: it may be paid once more. The
    address of a session is lost with the answer that has it."""
    fault = cell.fault
    unheard = cell.stage is StageName.SCRIPT and fault.point == Point.AFTER_SEND
    sessions = 1 + (fault.operation == "open_upload")
    await judge(scene, paid_again=int(unheard), sessions=sessions)


@pytest.mark.parametrize("cell", cells("raise", "timeout"))
async def test_error_at_a_point(scene_of: SceneOf, cell: Cell) -> None:
    scene = scene_of(cell.stage)
    async with scene.worker([cell.fault]) as faults:
        await eventually(lambda: faults.struck)
        await scene.recorded()
    await judge_cell(scene, cell)


@pytest.mark.parametrize("cell", cells("hang"))
async def test_task_that_hangs_goes_back_when_its_worker_is_stopped(
    scene_of: SceneOf, cell: Cell
) -> None:
    scene = scene_of(cell.stage)
    worker = scene.start(cell.fault)
    await eventually(lambda: (scene.folder / "fired.jsonl").exists(), within=60)
    worker.kill(signal.SIGTERM)
    await scene.told("queue.stop_asked")
    worker.kill(signal.SIGTERM)  # who asks twice does not want to wait for the end of the grace
    worker.wait(40)
    async with scene.worker():
        await scene.time_passes(worker)
        await scene.recorded()
    await judge_cell(scene, cell)


@pytest.mark.parametrize("cell", cells("exit"))
async def test_worker_killed_at_a_point(scene_of: SceneOf, cell: Cell) -> None:
    scene = scene_of(cell.stage)
    worker = scene.start(cell.fault)
    await scene.struck(worker)
    async with scene.worker():
        await scene.time_passes(worker)
        await scene.recorded()
    await judge_cell(scene, cell)


@pytest.mark.parametrize("cell", cells("freeze"))
async def test_worker_frozen_beyond_its_lease_writes_nothing_when_it_wakes(
    scene_of: SceneOf, cell: Cell
) -> None:
    scene = scene_of(cell.stage)
    worker = scene.start(cell.fault)
    await scene.struck(worker)
    began = time.monotonic()
    async with scene.worker():
        await scene.time_passes(worker)
        await scene.recorded()
    stopped = time.monotonic() - began
    await asyncio.sleep(SHORTEST_LEASE_SECONDS - stopped)
    worker.kill(signal.SIGCONT)
    worker.kill(signal.SIGTERM)
    assert worker.wait(40) == 0, scene.log()
    await judge_cell(scene, cell)
    await judge_cell(scene, cell)
