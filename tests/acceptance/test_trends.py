"""`ytempire trend ingest`, and a run that picks from what it stored."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.acceptance.line import Line
from tests.services.feeds_server import FeedsServer
from tests.services.local_http import Reply

SOURCES = "google_trends,hackernews,wikimedia"


@pytest.fixture
def server() -> Iterator[FeedsServer]:
    with FeedsServer(datetime.now(UTC)) as running:
        yield running


@pytest.fixture
def fed(line: Line, server: FeedsServer) -> Line:
    line.settings = {
        "YTEMPIRE_TREND_SOURCES": SOURCES,
        "YTEMPIRE_GOOGLE_TRENDS_URL": server.google_url,
        "YTEMPIRE_HACKERNEWS_URL": server.hackernews_url,
        "YTEMPIRE_WIKIMEDIA_URL": server.wikimedia_url,
    }
    return line


def test_run_is_made_of_the_best_topic_of_the_feeds(fed: Line) -> None:
    read = fed.json("trend", "ingest")
    assert [item["source"] for item in read["items"]] == SOURCES.split(",")
    assert [item["error"] for item in read["items"]] == [None] * 3
    listed = fed.json("trend", "list", "--status", "qualified")["items"]
    assert {row["source"] for row in listed} == {"google_trends", "wikimedia"}

    fed.add_small_channel()
    run = fed.json("run", "start", "--channel", "small")["execution_id"]
    fed.run("worker", "--until-idle")
    shown = fed.json("run", "show", run)
    assert shown["status"] == "success", shown
    assert "octopus" in shown["video"]["title"].lower()


def test_feed_that_fails_is_named_and_the_others_go_in(fed: Line, server: FeedsServer) -> None:
    server.faults["/v0/topstories.json"] = Reply(200, b"<html>", "text/html")
    done = fed.attempt("trend", "ingest")
    assert done.returncode == 0
    assert "hackernews answered with text/html instead of JSON" in done.stderr
    assert "wikimedia" in done.stdout


def test_ingest_fails_when_every_feed_does(fed: Line, server: FeedsServer) -> None:
    server.faults["/v0/topstories.json"] = Reply(503)
    done = fed.attempt("trend", "ingest", "--source", "hackernews", "--json")
    assert done.returncode == 1
    (item,) = json.loads(done.stdout)["items"]
    assert "503" in item["error"]
    assert "Traceback" not in done.stderr


def test_ingest_without_a_feed_says_which_setting_chooses_one(line: Line) -> None:
    assert "YTEMPIRE_TREND_SOURCES" in line.refuse("trend", "ingest", code=2)
    assert "google_trends" in line.refuse("trend", "ingest", "--source", "myspace", code=2)


def test_chosen_feed_without_its_key_is_named_when_a_worker_starts(line: Line) -> None:
    line.settings = {"YTEMPIRE_TREND_SOURCES": "reddit"}
    assert "REDDIT_CLIENT_ID" in line.refuse("worker", "--until-idle", code=2)
    assert "REDDIT_CLIENT_ID" in line.refuse("trend", "ingest", code=2)
