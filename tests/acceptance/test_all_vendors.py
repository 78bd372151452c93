"""The line with every vendor at once: written, spoken, shown, published and measured over HTTP."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest

from db.embedded_binaries import find_binaries
from tests.acceptance.line import Line
from tests.acceptance.test_youtube_line import CANARY, ready
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.openai_server import OpenAIServer
from tests.services.stock_server import PEXELS_KEY, StockServer, draw_clip, draw_still
from tests.services.vendors import elevenlabs_environment, openai_environment
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import charted


class Vendors:
    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.openai = stack.enter_context(OpenAIServer())
        self.elevenlabs = stack.enter_context(ElevenLabsServer())
        clip, still = draw_clip(folder / "clip.mp4", seconds=12), draw_still(folder / "still.jpg")
        self.stock = stack.enter_context(StockServer(clip.read_bytes(), still.read_bytes()))
        self.stock.words.add("science")  # the script's first tag: what it is about


@pytest.fixture
def vendors(on_youtube: Line, tmp_path: Path) -> Iterator[Vendors]:
    """Every vendor chosen, with keys that can be recognised."""
    with ExitStack() as stack:
        vendors = Vendors(stack, tmp_path)
        on_youtube.settings |= (
            openai_environment(vendors.openai)
            | elevenlabs_environment(vendors.elevenlabs)
            | {
                "YTEMPIRE_FOOTAGE_PROVIDER": "pexels",
                "PEXELS_API_KEY": PEXELS_KEY,
                "YTEMPIRE_PEXELS_BASE_URL": vendors.stock.root,
                "YTEMPIRE_TREND_SOURCES": "youtube",
            }
        )
        yield vendors


def test_line_runs_with_every_vendor_and_keeps_no_secret_anywhere(
    on_youtube: Line, youtube: YouTubeServer, vendors: Vendors
) -> None:
    line = on_youtube
    ready(line, youtube)
    youtube.world.charts["US"] = [charted("v1", "The octopus of the reef", viewCount=9_000_000)]
    ingested = line.json("trend", "ingest")
    assert [(each["source"], each["qualified"]) for each in ingested["items"]] == [("youtube", 1)]
    doctor = line.json("doctor")
    assert doctor["healthy"], doctor

    run = line.json("run", "start", "--channel", "small")["execution_id"]
    worked = line.attempt("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "success", (shown, worked.stderr)
    assert {extra["status"] for extra in shown["extras"]} == {"done"}
    assert set(shown["cost"]["by_service"]) >= {"openai", "elevenlabs"}
    (published,) = youtube.world.videos.values()
    assert published["snippet"]["title"].startswith("What nobody told you about The octopus")
    description = published["snippet"]["description"]
    assert "Jo Reef, Pexels: https://www.pexels.com/video/7/ (Pexels licence)" in description
    assert "https://www.youtube.com/watch?v=v1" in description
    assert vendors.stock.downloads()
    assert len(youtube.world.files[published["id"]]) > 10_000

    dumped = subprocess.run(
        [find_binaries().program("pg_dump"), str(line.database_url)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    places = {"database": dumped, "log": worked.stdout + worked.stderr, "doctor": str(doctor)}
    files = (file for file in line.data_dir.rglob("*") if file.is_file())
    places |= {str(file): file.read_bytes().decode("latin-1") for file in files}
    assert len(places) > 5
    secrets = {
        "OpenAI": vendors.openai.key,
        "ElevenLabs": vendors.elevenlabs.key,
        "Pexels": PEXELS_KEY,
        "Google": CANARY,
        **{f"token {n}": token for n, token in enumerate(youtube.world.tokens)},
        **{f"session {n}": session for n, session in enumerate(youtube.world.sessions)},
    }
    found = [
        (whose, where)
        for whose, secret in secrets.items()
        for where, text in places.items()
        if secret in text
    ]
    assert found == []
    # The search would have found what is there in clear.
    assert asyncio.run(_stored(line)) in dumped


async def _stored(line: Line) -> str:
    connection = await asyncpg.connect(line.database_url)
    try:
        return str(await connection.fetchval("SELECT marker FROM video_uploads"))
    finally:
        await connection.close()
