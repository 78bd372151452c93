"""`ytempire demo` as a newcomer meets it: an embedded server, real workers, real files."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.line import PROGRAM, Line

TOPICS = [
    {"topic": "Honey", "facts": ["Honey never spoils."], "source_url": "https://example.org/honey"},
    {"topic": "Bees", "facts": ["A bee has five eyes."], "source_url": "https://example.org/bees"},
]


@pytest.fixture
def newcomer(make_data_dir: Callable[[], Path]) -> Iterator[Line]:
    """An installation without a database server: the embedded one is started and stopped."""
    with Line(make_data_dir()) as installation:
        yield installation
        installation.attempt("db", "stop")


def topics_file(line: Line) -> str:
    file = line.data_dir / "topics.json"
    file.write_text(json.dumps(TOPICS), encoding="utf-8")
    return str(file)


def start_demo(line: Line, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(PROGRAM), "demo", *arguments],
        env=line.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read what the demo says until it says `words`."""
    assert process.stdout is not None
    for said in process.stdout:
        if words in said:
            return
    raise AssertionError(f"the demo ended with {process.wait()} and never said {words!r}")


def test_interrupted_demo_is_finished_by_the_next(newcomer: Line) -> None:
    """Ctrl-C in the middle of the render; a second demo beside the first; then the next call."""
    file, out = topics_file(newcomer), newcomer.data_dir / "out"
    first = start_demo(newcomer, "--topics", file)
    wait_for(first, "render          running")

    assert "another demo is running" in newcomer.refuse("demo", "--topics", file, code=75)

    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    (unfinished,) = newcomer.json("run", "list")["items"]
    assert unfinished["status"] not in ("success", "failed")
    assert not _workers(newcomer)

    said = newcomer.run("demo", "--topics", file, "--out", str(out))
    assert sorted(path.suffix for path in out.iterdir()) == [".jpg", ".mp4", ".srt", ".vtt"]
    for path in out.iterdir():
        assert str(path) in said
    (finished,) = newcomer.json("run", "list")["items"]
    assert (finished["id"], finished["status"]) == (unfinished["id"], "success")


def _workers(line: Line) -> list[str]:
    """The commands of processes that still work in the data folder."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = subprocess.run(
            ["pgrep", "-af", f"--name=demo-.*|{line.data_dir}/work"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.splitlines()
        mine = [row for row in found if _works_in(row.split()[0], line.data_dir)]
        if not mine:
            return []
        time.sleep(0.2)
    return mine


def _works_in(pid: str, folder: Path) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return f"YTEMPIRE_DATA_DIR={folder}" in environment.split("\0")


def test_demo_names_what_is_wrong_with_its_topics(newcomer: Line) -> None:
    missing = newcomer.data_dir / "missing.csv"
    assert str(missing) in newcomer.refuse("demo", "--topics", str(missing), code=1)

    empty = newcomer.data_dir / "empty.csv"
    empty.write_text("", encoding="utf-8")
    assert "empty.csv" in newcomer.refuse("demo", "--topics", str(empty), code=1)

    broken = newcomer.data_dir / "broken.csv"
    broken.write_text('topic,facts\n,A fact.\n"Ice,Ice floats.\n', encoding="utf-8")
    said = newcomer.refuse("demo", "--topics", str(broken), code=1)
    assert "broken.csv:2:" in said
    assert "broken.csv:3:" in said


def test_unusable_folders_are_named(newcomer: Line) -> None:
    file = newcomer.data_dir / "a-file"
    file.write_text("", encoding="utf-8")
    topics = topics_file(newcomer)
    assert "--out" in newcomer.refuse("demo", "--topics", topics, "--out", f"{file}/x", code=1)

    newcomer.data_dir = file / "data"
    said = subprocess.run(
        [str(PROGRAM), "channel", "list"],
        env=newcomer.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    newcomer.data_dir = file.parent
    assert said.returncode == 1
    assert str(file) in said.stderr
    assert "Traceback" not in said.stderr
