"""Budgets as an operator meets them: real vendors' SDKs, real HTTP, real processes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.line import Line
from tests.services.openai_server import OpenAIServer
from tests.services.vendors import openai_environment


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def test_limits_hold_their_runs_and_say_so(line: Line, openai: OpenAIServer) -> None:
    line.settings = openai_environment(openai)
    line.add_small_channel("small", "--daily-budget", "0.10")
    assert line.json("channel", "show", "small")["daily_budget"] == 0.1
    run = line.start_small_run()
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "retrying"
    assert "the daily budget of channel 'small' is $0.100000" in shown["error"]
    (listed,) = line.json("run", "list")["items"]
    tomorrow = datetime.fromisoformat(listed["next_retry_at"])
    assert (tomorrow.hour, tomorrow.minute, tomorrow.second) == (0, 0, 0)
    assert tomorrow - datetime.now(UTC) <= timedelta(days=1)
    assert openai.charged == {}

    line.refuse("channel", "set", "small", "--daily-budget", "a lot", code=2)
    assert line.json("channel", "set", "small", "--daily-budget", "")["daily_budget"] is None
    line.settings |= {"YTEMPIRE_MAX_COST_PER_VIDEO": "0.01"}
    line.run("run", "retry", run, "--yes")
    line.run("worker", "--until-idle")
    shown = line.json("run", "show", run)
    assert shown["status"] == "failed"
    assert "YTEMPIRE_MAX_COST_PER_VIDEO is $0.010000: $0.000000 spent" in shown["error"]
    assert openai.charged == {}

    line.settings |= {"YTEMPIRE_MAX_COST_PER_VIDEO": "1", "YTEMPIRE_MAX_COST_PER_DAY": "1"}
    line.run("run", "retry", run, "--yes")
    line.run("worker", "--until-idle")
    assert line.json("run", "show", run)["status"] == "success"
    assert len(openai.charged) == 1
