"""Workers that die in the middle of paid calls; the vendors' journals say what was paid."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from tests.acceptance.line import Line
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.http_server import Asked, Reply
from tests.services.openai_server import USAGE_COST, OpenAIServer
from tests.services.vendors import elevenlabs_environment, openai_environment

PATIENCE_SECONDS = 90.0


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def elevenlabs() -> Iterator[ElevenLabsServer]:
    with ElevenLabsServer() as server:
        yield server


def sql(line: Line, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(str(line.database_url), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def eventually(line: Line, query: str) -> None:
    """Wait until the query answers true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sql(line, query) != [(True,)]:
        assert time.monotonic() < deadline, query
        time.sleep(0.1)


def kill_worker(line: Line, began: "Iterator[bool]") -> None:
    """Start a worker and kill it without warning once `began` says so."""
    worker = line.start_worker()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not next(began):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def test_killed_workers_pay_for_nothing_twice(
    line: Line, openai: OpenAIServer, elevenlabs: ElevenLabsServer
) -> None:
    line.settings = (
        openai_environment(openai)
        | elevenlabs_environment(elevenlabs)
        | {"YTEMPIRE_OPENAI_BACKGROUND": "on"}
    )
    line.add_small_channel()
    openai.polls = 10**6
    run = line.start_small_run()

    def polled() -> Iterator[bool]:
        while True:
            yield bool(openai.asked("GET", "/v1/responses/"))

    kill_worker(line, polled())
    assert sql(line, "SELECT status, provider_ref FROM provider_calls") == [("intent", "resp_1")]

    def late(asked: Asked) -> Reply:
        return replace(elevenlabs.spoken(asked), late=60.0)

    def spoken_twice() -> Iterator[bool]:
        while True:
            yield len(elevenlabs.history) == 2

    openai.polls = 0
    elevenlabs.next = [elevenlabs.spoken, late]
    kill_worker(line, spoken_twice())

    # The next worker finds the second part cut off, and rests until it has settled.
    line.start_worker()
    eventually(line, "SELECT status = 'retrying' FROM workflow_executions")
    (rest,) = sql(
        line,
        "SELECT e.next_retry_at = c.settle_at FROM workflow_executions e, provider_calls c"
        " WHERE c.status = 'intent'",
    )
    assert rest == (True,)
    assert "may still take effect" in line.json("run", "show", run)["error"]
    sql(line, "UPDATE provider_calls SET settle_at = clock_timestamp()")
    sql(
        line,
        "UPDATE queue.job_queue SET scheduled_for = clock_timestamp(), next_retry_at ="
        " CASE WHEN next_retry_at IS NOT NULL THEN clock_timestamp() END"
        " WHERE status = 'pending' AND job_type = 'video.voice'",
    )
    eventually(line, "SELECT status = 'success' FROM workflow_executions")

    assert len(openai.charged) == 1
    texts = [item["text"] for item in elevenlabs.history]
    assert len(texts) == len(set(texts)), "no part was spoken twice"
    voice = sum(Decimal(len(text)) for text in texts) * Decimal("0.0001")
    assert sql(line, "SELECT cost FROM workflow_executions") == [(Decimal(USAGE_COST) + voice,)]
    assert sql(line, "SELECT DISTINCT status FROM provider_calls") == [("done",)]
    attempts = sql(line, "SELECT max(attempts) FROM queue.job_queue")
    assert attempts == [(1,)], "neither a kill nor the rest costs an attempt"
