"""The line with OpenAI and ElevenLabs: real SDKs, real HTTP, real processes."""

import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.embedded_binaries import find_binaries
from tests.acceptance.line import FACTS, Line
from tests.services import elevenlabs_server, openai_server
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.http_server import Reply
from tests.services.openai_server import USAGE_COST, OpenAIServer, error, refusal
from tests.services.vendors import elevenlabs_environment, openai_environment

PAUSE_PASSES = "UPDATE provider_state SET paused_until = clock_timestamp() - interval '1 s'"
DUE_NOW = """
    UPDATE queue.job_queue
       SET scheduled_for = clock_timestamp(),
           next_retry_at = CASE WHEN next_retry_at IS NOT NULL THEN clock_timestamp() END
     WHERE status = 'pending'
"""


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def elevenlabs() -> Iterator[ElevenLabsServer]:
    with ElevenLabsServer() as server:
        yield server


@pytest.fixture
def vendors(line: Line, openai: OpenAIServer, elevenlabs: ElevenLabsServer) -> Line:
    """The installation with both vendors chosen, and a channel."""
    line.settings = openai_environment(openai) | elevenlabs_environment(elevenlabs)
    line.add_small_channel()
    return line


async def rows(line: Line, query: str, *arguments: Any) -> list[Any]:
    connection = await asyncpg.connect(line.database_url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


def spoken(server: ElevenLabsServer) -> list[str]:
    return [one.json()["text"] for one in server.asked("POST", "/with-timestamps")]


def dump(line: Line) -> str:
    """Everything in the database, in clear text."""
    done = subprocess.run(
        [find_binaries().program("pg_dump"), str(line.database_url)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


async def test_line_runs_with_both_vendors_and_books_every_call_exactly(
    vendors: Line, openai: OpenAIServer, elevenlabs: ElevenLabsServer
) -> None:
    run = vendors.start_small_run()
    worker = vendors.attempt("worker", "--until-idle")
    assert worker.returncode == 0, worker.stderr

    shown = vendors.json("run", "show", run)
    assert shown["status"] == "success", shown
    assert shown["video"]["title"] == "What nobody told you about The octopus"
    texts = spoken(elevenlabs)
    voice = sum((Decimal(len(text)) for text in texts), Decimal(0)) * Decimal("0.0001")
    booked = await rows(vendors, "SELECT * FROM video_costs WHERE amount > 0 ORDER BY created_at")
    assert {row["service"] for row in booked} == {"openai", "elevenlabs"}
    (script,) = [row for row in booked if row["service"] == "openai"]
    assert script["amount"] == Decimal(USAGE_COST)
    assert (script["units_consumed"], script["unit_type"]) == (1500, "tokens")
    assert (script["rate_per_unit"], script["request_id"]) == (None, "req_1")
    assert json.loads(script["metadata"])["reasoning_tokens"] == "200"
    speech = [row for row in booked if row["service"] == "elevenlabs"]
    assert sorted(row["units_consumed"] for row in speech) == sorted(map(len, texts))
    assert all(r["amount"] == r["units_consumed"] * r["rate_per_unit"] for r in speech)
    total = Decimal(USAGE_COST) + voice
    (execution,) = await rows(vendors, "SELECT cost FROM workflow_executions")
    assert execution["cost"] == total
    (film,) = vendors.data_dir.glob("published/*/published/*.mp4")
    assert _captioned(film.with_suffix(".srt")) == " ".join(texts).split()
    assert FACTS[0] in " ".join(texts)

    for secret in (openai.key, elevenlabs.key):
        assert secret not in dump(vendors)
        assert secret not in worker.stdout + worker.stderr


def _captioned(file: Path) -> list[str]:
    cues = file.read_text(encoding="utf-8").strip().split("\n\n")
    return [word for cue in cues for text in cue.splitlines()[2:] for word in text.split()]


async def test_refusal_ends_the_run_in_its_own_words_with_its_cost(
    vendors: Line, openai: OpenAIServer, elevenlabs: ElevenLabsServer
) -> None:
    openai.next = [lambda asked: openai.completed(asked, [refusal("I will not write this.")])]
    run = vendors.start_small_run()
    vendors.run("worker", "--until-idle")
    shown = vendors.json("run", "show", run)
    assert shown["status"] == "failed"
    assert "I will not write this." in shown["error"]
    assert Decimal(str(shown["cost"]["total"])) == Decimal(USAGE_COST)
    assert not spoken(elevenlabs)

    vendors.run("run", "retry", run, "--yes")
    vendors.run("worker", "--until-idle")
    assert len(openai.asked("POST", "/responses")) == 2, "the refusal is not used again"
    assert spoken(elevenlabs)


async def test_vendor_out_of_credit_pauses_every_run_and_one_probe_opens_it(
    vendors: Line, openai: OpenAIServer
) -> None:
    openai.next = [openai_server.OUT_OF_CREDIT]
    first, second = vendors.start_small_run(), vendors.start_small_run()
    vendors.run("worker", "--until-idle", "--concurrency", "1")
    for run in (first, second):
        shown = vendors.json("run", "show", run)
        assert shown["status"] == "retrying"
        assert "out of credit" in shown["error"]
    assert len(openai.asked("POST", "/responses")) == 1, "the second run does not even try"
    (told,) = await rows(vendors, "SELECT title, message FROM notifications")
    assert "Billing" in told["message"]
    report = json.loads(vendors.run("doctor", "--json", code=5))
    assert any("out of credit" in finding["message"] for finding in report["findings"])

    await rows(vendors, "UPDATE workflow_executions SET status = 'cancelled' WHERE id = $1", second)
    await rows(vendors, PAUSE_PASSES)
    await rows(vendors, DUE_NOW)
    vendors.run("worker", "--until-idle")
    assert vendors.json("run", "show", first)["status"] == "success"
    assert len(openai.asked("POST", "/responses")) == 2
    assert await rows(vendors, "SELECT FROM notifications WHERE NOT is_read") == []


async def test_rate_limit_waits_as_long_as_it_says_without_an_attempt(
    vendors: Line, openai: OpenAIServer
) -> None:
    slow = error(429, "rate_limit_exceeded", "Slow down.", **{"retry-after": "1800"})
    openai.next = [slow]
    run = vendors.start_small_run()
    vendors.run("worker", "--until-idle")
    shown = vendors.json("run", "show", run)
    assert shown["status"] == "retrying", shown
    (job,) = await rows(
        vendors,
        "SELECT attempts, extract(epoch FROM coalesce(next_retry_at, scheduled_for)"
        " - clock_timestamp()) AS wait FROM queue.job_queue WHERE status = 'pending'",
    )
    assert job["attempts"] == 0
    assert 1_500 < job["wait"] <= 1_800


async def test_garbage_is_tried_again_and_repaired(
    vendors: Line, openai: OpenAIServer, elevenlabs: ElevenLabsServer
) -> None:
    page = Reply(200, b"<html>portal</html>", media_type="text/html")
    openai.next = [page, openai.says("not JSON \ud83d")]
    elevenlabs.next = [page, elevenlabs.says(audio_base64="AAAA")]
    run = vendors.start_small_run()
    vendors.run("worker", "--until-idle")
    shown = vendors.json("run", "show", run)
    assert shown["status"] == "success", shown
    (script,) = await rows(
        vendors,
        "SELECT count(*) AS n, sum(amount) AS paid FROM video_costs WHERE service = 'openai'",
    )
    assert (script["n"], script["paid"]) == (2, 2 * Decimal(USAGE_COST))


async def test_voice_out_of_credit_keeps_what_was_spoken_before(
    vendors: Line, elevenlabs: ElevenLabsServer
) -> None:
    elevenlabs.next = [elevenlabs.says(), elevenlabs_server.OUT_OF_CREDIT]
    run = vendors.start_small_run()
    vendors.run("worker", "--until-idle")
    shown = vendors.json("run", "show", run)
    assert shown["status"] == "retrying"
    booked = await rows(vendors, "SELECT units_consumed FROM video_costs WHERE service=$1",
                        "elevenlabs")  # fmt: skip
    assert [row["units_consumed"] for row in booked] == [len(spoken(elevenlabs)[0])]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_API_KEY", ""),
        ("OPENAI_API_KEY", "sk-wrong-canary"),
        ("ELEVENLABS_API_KEY", ""),
        ("ELEVENLABS_API_KEY", "xi-wrong-canary"),
    ],
)
def test_missing_or_wrong_key_stops_the_start_by_its_name(
    vendors: Line, variable: str, value: str
) -> None:
    vendors.settings = vendors.settings | {variable: value}
    told = vendors.refuse("worker", "--until-idle", code=2)
    assert variable in told
    assert "canary" not in told
    report = json.loads(vendors.run("doctor", "--json", code=5))
    assert any(re.search(variable, finding["message"]) for finding in report["findings"])


def test_doctor_is_content_with_both_vendors(vendors: Line) -> None:
    report = vendors.json("doctor")
    assert report["healthy"], report
    assert {"openai", "elevenlabs"} <= {finding["check"] for finding in report["findings"]}
    assert "healthy" in vendors.run("doctor")
