"""Stored files that were damaged since they were stored."""

import asyncio
from pathlib import Path

import asyncpg

from tests.acceptance.line import Line
from tests.acceptance.test_cancel import until
from tests.acceptance.test_line import published


async def brought_to(line: Line, run: str, step: str, queues: str) -> None:
    """Let workers of these queues bring the run to a step that they do not serve."""
    worker = line.start_worker("--queues", queues)
    await until(lambda: line.json("run", "show", run)["current_step"] == step)
    worker.terminate()
    await asyncio.to_thread(worker.wait)


def damage(line: Line, name: str) -> Path:
    (file,) = line.data_dir.glob(f"artifacts/**/{name}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    return file


async def test_damaged_narration_is_spoken_again_once_and_the_run_goes_on(line: Line) -> None:
    line.add_small_channel()
    run = line.start_small_run()
    await brought_to(line, run, "render", "default")
    damaged = damage(line, "narration-*.wav")
    broken = damaged.read_bytes()

    worked = line.attempt("worker", "--until-idle")

    shown = line.json("run", "show", run)
    assert shown["status"] == "success", (shown, worked.stderr)
    assert "artifact.remade" in worked.stderr
    assert damaged.read_bytes() != broken
    assert len(published(line)) == 1
    connection = await asyncpg.connect(line.database_url)
    try:
        remade = await connection.fetchval(
            "SELECT input->>'remade' FROM workflow_steps WHERE step_name = 'voice'"
        )
        assert remade == "1"
    finally:
        await connection.close()


async def test_damaged_film_is_refused_right_before_its_upload_and_made_again_by_a_retry(
    line: Line,
) -> None:
    line.add_small_channel()
    run = line.start_small_run()
    await brought_to(line, run, "upload", "default,render")
    damage(line, "video-*.mp4")
    line.attempt("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "failed"
    assert "is damaged" in shown["error"]
    assert published(line) == []

    line.run("run", "retry", run, "--from-step", "render")
    line.attempt("worker", "--until-idle")
    assert line.json("run", "show", run)["status"] == "success"
    assert len(published(line)) == 1
