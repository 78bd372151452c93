"""Procrastinate's own command line on the shipped app, as processes of their own."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("procrastinate")
APP = "workers.procrastinate_app.app"


@pytest.fixture
def procrastinate(tmp_path):
    """procrastinate(*arguments, code=0, **environment): what it printed, by itself in a folder."""

    def call(*arguments, code=0, stdin="", **environment):
        done = subprocess.run(
            [str(PROGRAM), "--app", APP, *arguments],
            env={
                "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "YTEMPIRE_DATA_DIR": str(tmp_path),
                **environment,
            },
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


async def test_jobs_are_deferred_listed_and_run_with_their_runtime(
    pool, database_url, procrastinate
):
    def run(*arguments, **options):
        return asyncio.to_thread(procrastinate, *arguments, DATABASE_URL=database_url, **options)

    assert "DB connection: OK" in await run("healthchecks")
    await run("defer", "maintenance.reconcile", '{"timestamp": 0}', "--priority", "3")
    await run("defer", "video.script", '{"execution_id": "none"}', "--lock", "l")
    assert "video.unheard_of" in await run("defer", "video.unheard_of", "{}", code=1)
    listed = await run("shell", stdin="list_jobs\nlist_queues\nlist_tasks\nlist_locks\nexit\n")
    assert "maintenance.reconcile on maintenance - [todo]" in listed
    assert "default: 1 jobs (todo: 1" in listed
    assert "video.script: 1 jobs" in listed
    assert "l: 1 jobs" in listed

    await run("worker", "--one-shot", "--name", "own", "--queues", "default,maintenance")
    rows = await pool.fetch(
        """SELECT j.job_type, j.status, j.last_error, w.name, w.queues
           FROM queue.job_queue j JOIN queue.job_workers w ON w.id = j.worker_id
           WHERE j.priority = 2 OR j.lock = 'l' ORDER BY j.seq"""
    )
    # The one needs the runtime's pool; the other reaches its stage, which refuses its payload.
    assert [tuple(row)[:2] for row in rows] == [
        ("maintenance.reconcile", "completed"),
        ("video.script", "failed"),
    ]
    assert "the id of a run" in rows[1]["last_error"]
    assert {(row["name"], tuple(row["queues"])) for row in rows} == {
        ("own", ("default", "maintenance"))
    }
    assert (
        await pool.fetchval("SELECT count(*) FROM queue.job_workers WHERE stopped_at IS NULL") == 0
    )


def test_schema_is_refused_with_the_reason(database_url, procrastinate):
    said = procrastinate("schema", "--apply", code=1, DATABASE_URL=database_url)
    assert "ytempire db migrate" in said


def test_wrong_setting_is_named(procrastinate):
    said = procrastinate("healthchecks", code=1, YTEMPIRE_LOG_FORMAT="loud")
    assert "YTEMPIRE_LOG_FORMAT" in said
    assert "Traceback" not in said


def test_without_a_url_the_embedded_database_serves(procrastinate, make_data_dir):
    data_dir = str(make_data_dir())
    procrastinate("defer", "maintenance.noop", '{"n": 1}', YTEMPIRE_DATA_DIR=data_dir)
    procrastinate("worker", "--one-shot", "-q", "maintenance", YTEMPIRE_DATA_DIR=data_dir)
    listed = procrastinate(
        "shell", "list_jobs", "task=maintenance.noop", YTEMPIRE_DATA_DIR=data_dir
    )
    assert "maintenance.noop on maintenance - [succeeded]" in listed
