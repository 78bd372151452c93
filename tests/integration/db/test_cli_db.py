"""`ytempire db` as a process, on the embedded database and on a given one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from db import embedded
from db.revisions import head_revision

COMMAND = "from workers.cli.db import app; app()"


def ytempire_db(*arguments: str, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    given = {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *arguments],
        env={**os.environ, **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_url_of_the_embedded_database_serves_whoever_is_given_it(
    make_data_dir: Callable[[], Path],
) -> None:
    folder = make_data_dir()
    first = ytempire_db("url", YTEMPIRE_DATA_DIR=folder)
    assert first.returncode == 0, first.stderr
    url = first.stdout.removesuffix("\n")

    # The command is gone and nobody else uses the server, yet it answers, migrated.
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO queue.job_queue (job_type) VALUES ('maintenance.noop')")
    state = embedded.running_server(folder)
    assert state is not None
    assert state.url == url
    assert embedded.ServerFolder(folder / "postgres").lease_left() > 300

    status = ytempire_db("status", "--json", YTEMPIRE_DATA_DIR=folder)
    head = head_revision()
    assert json.loads(status.stdout) == {
        "database": "embedded",
        "current": head,
        "head": head,
        "pending": [],
    }
    again = ytempire_db("migrate", "--json", YTEMPIRE_DATA_DIR=folder)
    assert json.loads(again.stdout) == {"applied": []}

    stop = ytempire_db("stop", "--json", YTEMPIRE_DATA_DIR=folder)
    assert (stop.returncode, json.loads(stop.stdout)) == (0, {"stopped": True})
    assert embedded.running_server(folder) is None
    repeat = ytempire_db("stop", YTEMPIRE_DATA_DIR=folder)
    assert (repeat.returncode, repeat.stdout) == (0, "was not running\n")

    with psycopg.connect(ytempire_db("url", YTEMPIRE_DATA_DIR=folder).stdout.strip()) as connection:
        assert connection.execute("SELECT count(*) FROM queue.job_queue").fetchone() == (1,)


def test_given_database_is_migrated_by_migrate_alone(
    empty_database_url: str, make_data_dir: Callable[[], Path]
) -> None:
    folder = make_data_dir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return ytempire_db(*arguments, DATABASE_URL=empty_database_url, YTEMPIRE_DATA_DIR=folder)

    before = json.loads(run("status", "--json").stdout)
    assert (before["database"], before["current"]) == ("given", None)
    assert before["pending"]
    assert run("url").stdout.strip() == empty_database_url
    assert json.loads(run("status", "--json").stdout) == before

    assert json.loads(run("migrate", "--json").stdout) == {"applied": before["pending"]}
    assert run("migrate").stdout == "nothing to apply\n"
    assert json.loads(run("status", "--json").stdout)["current"] == head_revision()

    refused = run("stop")
    assert refused.returncode == 2
    assert "DATABASE_URL is set" in refused.stderr
    assert list(folder.iterdir()) == []


def test_what_goes_wrong_is_one_line_and_exit_code_one() -> None:
    for variables in (
        {"DATABASE_URL": "postgresql://nobody@/none?host=/proc/none"},
        {"DATABASE_URL": "this is no url"},
        {"YTEMPIRE_DATA_DIR": "/proc/none"},
    ):
        done = ytempire_db("status", **variables)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.strip()
        assert "Traceback" not in done.stderr
