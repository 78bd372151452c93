"""The shipped supervisor file runs workers that end a run and the HTTP service, and stops them."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.line import Line

SHIPPED = Path(__file__).parents[2] / "deploy" / "supervisord.conf"
SUPERVISORD = Path(sys.executable).with_name("supervisord")
SUPERVISORCTL = Path(sys.executable).with_name("supervisorctl")


@pytest.fixture
def configuration(line: Line) -> Path:
    """The shipped file; only the port is a free one, for tests run at the same time."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert text.count("ytempire serve --port 8080\n") == 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = line.data_dir / "supervisord.conf"
    file.write_text(text.replace("--port 8080", f"--port {port}"), encoding="utf-8")
    return file


def control(line: Line, *arguments: str) -> str:
    """What supervisorctl answers."""
    return subprocess.run(
        [str(SUPERVISORCTL), "-c", str(line.data_dir / "supervisord.conf"), *arguments],
        env=line.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout


def test_run_ends_under_the_shipped_supervisor(line: Line, configuration: Path) -> None:
    line.add_small_channel()
    with (line.data_dir / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [str(SUPERVISORD), "-c", str(configuration)],
            env=line.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        run = line.start_small_run("--wait")
        assert line.json("run", "show", run)["status"] == "success"
        states = {row.split()[0]: row.split()[1] for row in control(line, "status").splitlines()}
        assert states == {"line": "RUNNING", "render": "RUNNING", "web": "RUNNING"}
        log_text = (line.data_dir / "supervisor.log").read_text(encoding="utf-8")
        address = log_text.split("listening on ")[1].split()[0]
        assert httpx.get(f"{address}/readyz", trust_env=False).status_code == 200
        assert httpx.get(f"{address}/v1/runs/{run}", trust_env=False).status_code == 401

        pid = int(control(line, "pid", "render"))
        control(line, "signal", "KILL", "render")
        assert _restarted(line, pid)
    finally:
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
    workers = line.json("job", "list")["items"]
    assert all(job["status"] in ("completed", "pending") for job in workers)


def _restarted(line: Line, pid: int) -> bool:
    """Whether supervisor replaces a worker that was killed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = control(line, "pid", "render").strip()
        if answer.isdigit() and int(answer) not in (0, pid):
            return True
        time.sleep(0.2)
    return False
