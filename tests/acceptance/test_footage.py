"""Runs with footage: from a folder and from stock libraries, credited where people read it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.acceptance.line import Line
from tests.services.local_http import Reply
from tests.services.stock_server import (
    PEXELS_KEY,
    PIXABAY_KEY,
    StockServer,
    draw_clip,
    draw_still,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_clip(folder / "clip.mp4", seconds=7)
    draw_still(folder / "still.jpg")
    return folder


@pytest.fixture
def server(drawn: Path) -> Iterator[StockServer]:
    clip, still = drawn / "clip.mp4", drawn / "still.jpg"
    with StockServer(clip.read_bytes(), still.read_bytes()) as running:
        yield running


def choose(line: Line, server: StockServer, name: str) -> None:
    line.settings = {
        "YTEMPIRE_FOOTAGE_PROVIDER": name,
        "PEXELS_API_KEY": PEXELS_KEY,
        "PIXABAY_API_KEY": PIXABAY_KEY,
        "YTEMPIRE_PEXELS_BASE_URL": server.root,
        "YTEMPIRE_PIXABAY_BASE_URL": server.root,
    }


def published(line: Line) -> list[dict[str, Any]]:
    records = sorted(line.data_dir.glob("published/*/videos/*/video.json"))
    return [json.loads(record.read_bytes()) for record in records]


async def origins(line: Line) -> list[list[str]]:
    """Of each video, the keys of what its scenes show."""
    connection = await asyncpg.connect(line.database_url)
    try:
        rows = await connection.fetch(
            "SELECT output->>'credits' AS credits FROM workflow_steps"
            " WHERE step_name = 'render' AND status = 'success' ORDER BY completed_at"
        )
    finally:
        await connection.close()
    return [[f"{c['provider']}:{c['asset_id']}" for c in json.loads(row[0])] for row in rows]


@pytest.mark.parametrize("name", ["pexels", "pixabay"])
async def test_stock_footage_is_shown_once_and_credited(
    line: Line, server: StockServer, name: str
) -> None:
    choose(line, server, name)
    line.add_small_channel()
    runs = [line.start_small_run()]
    line.run("worker", "--until-idle")
    runs.append(line.start_small_run())
    line.run("worker", "--until-idle")

    for run in runs:
        assert line.json("run", "show", run)["status"] == "success"
    first, second = await origins(line)
    assert first
    assert len(first) == len(set(first))
    assert not set(first) & set(second)  # the channel showed it already
    descriptions = [record["description"] for record in published(line)]
    for key in first:
        number = key.partition("-")[2]
        assert sum(f"{number}/ ({name.capitalize()}" in text for text in descriptions) == 1
    log_and_database = json.dumps(published(line)) + (await dumped(line))
    assert "hush" not in log_and_database


async def dumped(line: Line) -> str:
    connection = await asyncpg.connect(line.database_url)
    try:
        tables = ("workflow_steps", "workflow_executions", "videos", "queue.job_queue")
        parts = [
            await connection.fetchval(f"SELECT json_agg(t)::text FROM {table} t")
            for table in tables
        ]
    finally:
        await connection.close()
    return "".join(parts)


def test_own_folder_is_shown_and_credited_where_it_says_so(line: Line, drawn: Path) -> None:
    media = line.data_dir / "media"
    media.mkdir()
    shutil.copy(drawn / "clip.mp4", media / "octopus.mp4")
    (media / "octopus.mp4.json").write_text('{"author": "Our own diver"}')
    line.settings = {"YTEMPIRE_FOOTAGE_PROVIDER": "folder", "YTEMPIRE_MEDIA_DIR": str(media)}
    line.add_small_channel()
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    assert line.json("run", "show", run)["status"] == "success"
    (record,) = published(line)
    assert "Footage:\nOur own diver\n" in record["description"]


def test_wrong_key_waits_for_a_person(line: Line, server: StockServer) -> None:
    choose(line, server, "pexels")
    line.settings["PEXELS_API_KEY"] = "wrong-hush-hush"
    line.add_small_channel()
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "waiting"
    assert "PEXELS_API_KEY" in shown["error"]
    assert "hush" not in json.dumps(shown)


def test_library_that_asks_for_rest_delays_the_run_without_an_attempt(
    line: Line, server: StockServer
) -> None:
    choose(line, server, "pixabay")
    server.faults["/api/videos/"] = Reply(429, b"", "text/plain", {"Retry_After": "86000"})
    line.add_small_channel()
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "retrying"
    assert "pixabay asks for rest until" in shown["error"]


def test_chosen_library_without_its_key_is_named_when_a_worker_starts(line: Line) -> None:
    line.settings = {"YTEMPIRE_FOOTAGE_PROVIDER": "pixabay"}
    assert "PIXABAY_API_KEY" in line.refuse("worker", "--until-idle", code=2)
