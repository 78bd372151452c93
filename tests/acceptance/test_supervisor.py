"""The shipped supervisor file runs workers that end a run, and stops them cleanly."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance.line import Line

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "supervisord.conf"
SUPERVISORD = Path(sys.executable).with_name("supervisord")
SUPERVISORCTL = Path(sys.executable).with_name("supervisorctl")


def control(line: Line, *arguments: str) -> str:
    """What supervisorctl answers."""
    return subprocess.run(
        [str(SUPERVISORCTL), "-c", str(CONFIGURATION), *arguments],
        env=line.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout


def test_run_ends_under_the_shipped_supervisor(line: Line) -> None:
    line.add_small_channel()
    with (line.data_dir / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [str(SUPERVISORD), "-c", str(CONFIGURATION)],
            env=line.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        run = line.start_small_run("--wait")
        assert line.json("run", "show", run)["status"] == "success"
        states = {row.split()[0]: row.split()[1] for row in control(line, "status").splitlines()}
        assert states == {"line": "RUNNING", "render": "RUNNING"}

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
