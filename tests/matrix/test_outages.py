"""The database goes away, kills backends or keeps its answer to COMMIT, at every stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from pipeline.domain import StageName
from pipeline.failpoints import Point
from tests.matrix.scenes import Scene
from tests.matrix.verdict import judge
from tests.services.cut_line import CutLine
from tests.services.faults import Fault
from tests.services.queue_fixtures import eventually

SceneOf = Callable[[StageName], Scene]
AWAY_SECONDS = 0.5
every_stage = pytest.mark.parametrize("stage", list(StageName))


@pytest.fixture
async def lines() -> AsyncIterator[Callable[[Scene], CutLine]]:
    opened: list[CutLine] = []

    def line(scene: Scene) -> CutLine:
        opened.append(CutLine(scene.url))
        return opened[-1]

    yield line
    for each in opened:
        await each.__aexit__(None, None, None)


async def play(scene: Scene, line: CutLine, point: Point, do: Callable[[], object]) -> None:
    """The stage over the line; at the point `do` is done, once."""
    await line.mend()
    fault = Fault(scene.stage, point, "do")
    async with scene.worker([fault], url=line.url, do=do) as faults:
        await eventually(lambda: faults.struck)
        await scene.recorded()
    await judge(scene)


@every_stage
@pytest.mark.parametrize("point", [Point.BEFORE_INTENT, Point.BEFORE_COMMIT])
async def test_database_away_is_waited_for(
    scene_of: SceneOf, lines: Callable[[Scene], CutLine], stage: StageName, point: Point
) -> None:
    scene = scene_of(stage)
    line = lines(scene)
    mending: list[asyncio.Task[None]] = []

    async def mend_later() -> None:
        await asyncio.sleep(AWAY_SECONDS)
        assert scene.paid == paid_before, "something was paid for without a committed intent"
        await line.mend()

    async def cut() -> None:
        nonlocal paid_before
        paid_before = scene.paid
        await line.cut()
        mending.append(asyncio.create_task(mend_later()))

    paid_before = scene.paid
    await play(scene, line, point, cut)
    await mending[0]


@every_stage
async def test_backends_killed_in_the_record_are_replaced(
    scene_of: SceneOf, lines: Callable[[Scene], CutLine], stage: StageName
) -> None:
    scene = scene_of(stage)

    async def kill() -> None:
        connection = await asyncpg.connect(scene.url)
        killed = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'ytempire%'"
        )
        await connection.close()
        assert killed

    await play(scene, lines(scene), Point.BEFORE_COMMIT, kill)


@every_stage
async def test_commit_whose_answer_is_lost_is_read_back(
    scene_of: SceneOf, lines: Callable[[Scene], CutLine], stage: StageName
) -> None:
    scene = scene_of(stage)
    line = lines(scene)

    async def lose() -> None:
        line.lose_commit()

    await play(scene, line, Point.BEFORE_COMMIT, lose)
    assert line.lost == 1
