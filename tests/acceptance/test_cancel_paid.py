"""A run that is cancelled in the middle of a paid call, and what its retry pays."""

import json
from collections.abc import Iterator
from dataclasses import replace

import asyncpg
import pytest

from tests.acceptance.line import Line
from tests.acceptance.test_cancel import STOPPING_SECONDS, until
from tests.services.http_server import Asked, Reply
from tests.services.openai_server import USAGE_COST, OpenAIServer, data_of, message, script
from tests.services.vendors import openai_environment

LATE_SECONDS = 12.0
JOB = "SELECT status FROM queue.job_queue WHERE job_type = 'video.script'"


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


async def test_script_in_flight_is_booked_reused_and_paid_again_only_when_asked_for(
    line: Line, openai: OpenAIServer
) -> None:

    def late(asked: Asked) -> Reply:
        made = openai.completed(asked, [message(json.dumps(script(data_of(asked))))])
        return replace(made, late=LATE_SECONDS)

    openai.next.append(late)
    line.settings = openai_environment(openai)
    line.add_small_channel()
    run = line.start_small_run()
    line.start_worker("--queues", "default")
    connection = await asyncpg.connect(line.database_url)
    try:
        await until(lambda: openai.asked("POST", "/v1/responses"))
        line.run("run", "cancel", run, "--reason", "a mistake")
        await until(lambda: _is(connection, JOB, "aborted"), within=STOPPING_SECONDS)
        await until(
            lambda: _is(connection, "SELECT count(*)::text FROM video_costs"
                                    " WHERE service = 'openai'", "1")
        )  # fmt: skip
        shown = line.json("run", "show", run)
        assert (shown["status"], shown["cost"]["total"]) == ("cancelled", float(USAGE_COST))

        plan = line.json("run", "retry", run, "--dry-run")
        assert plan["paid_again"]["estimate"] == 0
        line.run("run", "retry", run)
        await until(lambda: line.json("run", "show", run)["current_step"] == "render")
        assert len(openai.asked("POST", "/v1/responses")) == 1

        line.run("run", "cancel", run)
        told = line.run("run", "retry", run, "--from-step", "script", "--dry-run")
        assert f"about ${USAGE_COST} as last time" in told
        refused = line.attempt("run", "retry", run, "--from-step", "script", input="n\n")
        assert refused.returncode == 1
        assert line.json("run", "show", run)["status"] == "cancelled"
        line.run("run", "retry", run, "--from-step", "script", "--yes")
        await until(lambda: line.json("run", "show", run)["current_step"] == "render")
        assert len(openai.asked("POST", "/v1/responses")) == 2
        assert line.json("run", "show", run)["cost"]["total"] == 2 * float(USAGE_COST)
    finally:
        await connection.close()


async def _is(connection: asyncpg.Connection, query: str, value: str) -> bool:
    return bool(await connection.fetchval(query) == value)
