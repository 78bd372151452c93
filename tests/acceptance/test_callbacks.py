"""Callbacks as an operator meets them: started, delivered, given up, sent again, told."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.line import Line
from tests.services.local_http import Reply, Request
from tests.services.n8n_server import Execution, N8nServer


@pytest.fixture
def n8n(line: Line) -> Iterator[N8nServer]:
    with N8nServer() as server:
        line.settings |= {"YTEMPIRE_CALLBACK_ALLOW": server.place}
        line.add_small_channel()
        yield server


def failing_run(line: Line, url: str) -> str:
    """A run that ends at once: the embedded writer states nothing without facts."""
    return str(
        line.json("run", "start", "--channel", "small", "--topic", "X", "--callback-url", url)[
            "execution_id"
        ]
    )


def work_until_settled(line: Line) -> None:
    line.run("worker", "--queues", "default", "--until-idle")


def test_whole_run_calls_back_and_is_listed(line: Line, n8n: N8nServer) -> None:
    execution = Execution("231", token="t/+=")
    run = line.start_small_run("--callback-url", n8n.add(execution))
    line.run("worker", "--until-idle")
    assert [body["type"] for body in execution.resumed] == ["run.completed"]
    data = execution.resumed[0]["data"]
    assert (data["execution_id"], data["status"]) == (run, "success")
    assert data["video"]["url"]
    (listed,) = line.json("callback", "list", "--run", run[:8])["items"]
    assert (listed["status"], listed["event"], listed["recipient"]) == (
        "delivered", "run.completed", "run",
    )  # fmt: skip
    assert "?" not in listed["url"]
    assert line.json("callback", "list", "--status", "dead") == {"items": [], "next_cursor": None}
    assert "signature" not in line.run("callback", "list")


def test_worker_killed_after_the_answer_repeats_it_with_the_same_id(
    line: Line, n8n: N8nServer
) -> None:
    workers: list[subprocess.Popen[bytes]] = []

    def kill_the_sender(_: Request) -> Reply:
        if len(n8n.journal) == 1:
            os.killpg(workers[0].pid, signal.SIGKILL)
            workers[0].wait()
        return Reply(200)

    n8n.hooks["/hook"] = kill_the_sender
    failing_run(line, f"{n8n.root}/hook")
    workers.append(line.start_worker("--queues", "default", "--concurrency", "1"))
    workers[0].wait(60)
    pending = line.json("callback", "list", "--status", "pending")["items"]
    (before,) = [each for each in pending if each["recipient"] == "run"]
    assert (before["attempts"], before["last_status_code"]) == (1, None)
    work_until_settled(line)
    first, second = n8n.journal
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == before["id"]
    assert first.body == second.body
    delivered = line.json("callback", "list", "--status", "delivered")["items"]
    assert [each["id"] for each in delivered] == [before["id"]]


def test_dead_callback_is_told_and_sent_again(line: Line, n8n: N8nServer) -> None:
    run = failing_run(line, f"{n8n.root}/webhook-waiting/7")
    work_until_settled(line)
    (dead,) = line.json("callback", "list", "--status", "dead")["items"]
    assert (dead["execution_id"], dead["last_status_code"]) == (run, 404)
    report = line.json("doctor")
    (finding,) = [one for one in report["findings"] if one["check"] == "callbacks"]
    assert (finding["level"], report["healthy"]) == ("warning", True)
    assert finding["command"] == "ytempire callback retry --dead"

    (told,) = line.json("notification", "list")["items"]
    assert dead["id"] in told["message"]
    assert line.run("notification", "ack", told["id"][:8]) == "read: 1\n"
    assert line.json("notification", "list")["items"] == []
    assert len(line.json("notification", "list", "--all")["items"]) == 1
    assert line.run("notification", "ack", "--all") == "read: 0\n"

    n8n.add(execution := Execution("7"))
    assert "is sent again" in line.run("callback", "retry", dead["id"][:8])
    work_until_settled(line)
    assert [body["type"] for body in execution.resumed] == ["run.failed"]
    assert "left alone" in line.refuse("callback", "retry", dead["id"], code=4)
    assert line.json("callback", "retry", "--dead") == {"retried": [], "left_alone": []}


def test_what_cannot_be_done_says_so(line: Line, n8n: N8nServer) -> None:
    assert "no status" in line.refuse("callback", "list", "--status", "lost", code=2)
    line.refuse("callback", "list", "--run", "ffffffff", code=3)
    assert "--dead" in line.refuse("callback", "retry", code=2)
    line.refuse("callback", "retry", "ffffffff", code=3)
    assert "--all" in line.refuse("notification", "ack", code=2)
    line.refuse("notification", "ack", "ffffffff", code=3)
    assert "next_cursor" in line.refuse("callback", "list", "--cursor", "x", code=2)
    start = ("run", "start", "--channel", "small", "--topic", "X", "--callback-url")
    for url in ("http://127.0.0.1:1/", "https://user@example.com/", "https://2130706433/", "n8n"):
        assert "--callback-url" in line.refuse(*start, url, code=2)
    assert line.json("run", "list")["items"] == []


def test_plain_insert_with_a_bad_address_starts_nothing(line: Line, n8n: N8nServer) -> None:
    payload = '{"channel": "small", "topic": "X", "callback_url": "http://169.254.169.254/"}'
    job = line.run("enqueue", "video.trend_pick", "--payload", payload).split()[-1]
    work_until_settled(line)
    shown = line.json("job", "show", job)
    assert shown["status"] == "failed"
    assert "YTEMPIRE_CALLBACK_ALLOW" in shown["last_error"]
    assert line.json("run", "list")["items"] == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("YTEMPIRE_CALLBACK_ALLOW", "n8n.internal", "is not host:port"),
        ("YTEMPIRE_CALLBACK_SECRET", "hunter2", "must be whsec_"),
        ("YTEMPIRE_CALLBACK_HEADER", "no colon", "Name: value"),
        ("YTEMPIRE_CALLBACK_HEADER", "Host: evil", "ours to send"),
        ("YTEMPIRE_CALLBACK_HEADER", "webhook-id: 1", "ours to send"),
        ("YTEMPIRE_ALERT_CALLBACK_URL", "http://10.0.0.1/", "YTEMPIRE_ALERT_CALLBACK_URL"),
    ],
)
def test_setting_that_cannot_be_is_named_at_start_up(
    line: Line, variable: str, value: str, said: str
) -> None:
    line.settings |= {variable: value}
    told = line.refuse("callback", "list", code=2)
    assert variable in told
    assert said in told
    assert "hunter2" not in told
