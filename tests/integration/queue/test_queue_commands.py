"""`ytempire enqueue`, `job` and `queue`, as an operator meets them."""

import json
import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from workers import cli
from workers.app import make_app
from workers.queue.connector import JobQueueConnector
from workers.tasks.names import TASK_NAMES


@pytest.fixture
def database(database_url, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("YTEMPIRE_DATA_DIR", str(tmp_path))
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def ytempire(database, monkeypatch, capsys):
    """ytempire(*arguments): exit code, stdout, stderr; JSON decoded with as_json."""

    def call(*arguments, code=0, as_json=False, stdin=None):
        given = [*arguments, "--json"] if as_json else list(arguments)
        monkeypatch.setattr(sys, "argv", ["ytempire", *given])
        if stdin is not None:
            monkeypatch.setattr(sys.stdin, "read", lambda: stdin, raising=False)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, printed.err
        return json.loads(printed.out) if as_json else (printed.out + printed.err)

    return call


def test_enqueued_job_has_what_was_asked_for(ytempire, database):
    answer = ytempire(
        *("enqueue", "video.trend_pick", "--payload", '{"channel": "demo", "n": [1, null]}'),
        *("--priority", "2", "--at", "+2h", "--queue", "upload", "--max-attempts", "7"),
        *("--lock", "l"),
        as_json=True,
    )
    row = database.execute(
        """SELECT id::text, job_type, payload, priority, queue_name, max_attempts, lock,
                  scheduled_for - now(), requested_by LIKE 'cli:%%' FROM queue.job_queue"""
    ).fetchone()
    assert row[:7] == (
        answer["job_id"],
        "video.trend_pick",
        {"channel": "demo", "n": [1, None]},
        2,
        "upload",
        7,
        "l",
    )
    assert timedelta(hours=1, minutes=50) < row[7] <= timedelta(hours=2)
    assert row[8]


def test_payload_comes_from_a_file_or_stdin(ytempire, database, tmp_path):
    (tmp_path / "p.json").write_text('{"from": "file"}')
    ytempire("enqueue", "maintenance.noop", "--payload", f"@{tmp_path / 'p.json'}")
    ytempire("enqueue", "maintenance.noop", "--payload", "-", stdin='{"from": "stdin"}')
    rows = database.execute("SELECT payload->>'from' FROM queue.job_queue ORDER BY seq").fetchall()
    assert rows == [("file",), ("stdin",)]


def test_absolute_time_keeps_its_zone(ytempire, database):
    ytempire("enqueue", "maintenance.noop", "--at", "2031-01-02T03:04:05+01:00")
    assert database.execute("SELECT scheduled_for FROM queue.job_queue").fetchone() == (
        datetime(2031, 1, 2, 2, 4, 5, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--payload", "[1]"], "must be a JSON object"),
        (["--payload", '{"a": NaN}'], "NaN is not JSON"),
        (["--payload", "{"], "is not JSON"),
        (["--payload", "[" * 100_000], "is not JSON"),
        (["--payload", "@/nowhere.json"], "No such file"),
        (["--payload", json.dumps({"b": "x" * 1_100_000})], "the limit is 1048576"),
        (["--payload", '{"a": "\\u0000"}'], "cannot hold this value"),
        (["--priority", "0"], "priority"),
        (["--priority", "11"], "priority"),
        (["--max-attempts", "0"], "max-attempts"),
        (["--queue", "q" * 41], "has 41 bytes; at most 40"),
        (["--idempotency-key", "k" * 201], "at most 200"),
        (["--queue", ""], "named_queue"),
        (["--at", "tomorrow"], "is not a time"),
        (["--at", "+soon"], "is no duration"),
        (["--at", "9999-12-31T23:59:59-05:00"], "out of range"),
        (["--payload", json.dumps({"b": "x" * 1_100_000})], "artifact store"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_enqueued(ytempire, database, arguments, says):
    said = ytempire("enqueue", "maintenance.noop", *arguments, code=2)
    assert says in "".join(said.replace("│", " ").split("\n"))
    assert database.execute("SELECT count(*) FROM queue.job_queue").fetchone() == (0,)


def test_long_job_type_is_refused(ytempire):
    assert "has 101 characters; at most 100" in ytempire("enqueue", "t" * 101, "--force", code=2)


@pytest.mark.parametrize(
    ("job_type", "nearest"),
    [("video.trendpick", "video.trend_pick"), ("maintenance.prunes", "maintenance.prune")],
)
def test_unknown_job_type_is_refused_with_the_nearest(ytempire, database, job_type, nearest):
    said = ytempire("enqueue", job_type, code=2)
    assert job_type in said
    assert f"the nearest is {nearest}." in said.replace("\n", " ")
    assert database.execute("SELECT count(*) FROM queue.job_queue").fetchone() == (0,)


def test_force_enqueues_an_unknown_job_type(ytempire, database):
    ytempire("enqueue", "video.of_tomorrow", "--force")
    row = database.execute("SELECT job_type FROM queue.job_queue").fetchone()
    assert row == ("video.of_tomorrow",)


def test_the_names_known_to_enqueue_are_those_of_the_tasks():
    tasks = make_app(JobQueueConnector("")).tasks
    assert {name for name in tasks if "procrastinate." not in name} == TASK_NAMES


def test_idempotency_key_makes_one_job(ytempire, database):
    first = ytempire("enqueue", "maintenance.noop", "--idempotency-key", "k", as_json=True)
    assert ytempire("enqueue", "maintenance.noop", "--idempotency-key", "k", as_json=True) == first
    said = ytempire(
        "enqueue", "maintenance.noop", "--payload", '{"x":1}', "--idempotency-key", "k", code=4
    )
    assert first["job_id"] in said.replace("\n", "")
    assert database.execute("SELECT count(*) FROM queue.job_queue").fetchone() == (1,)


def insert(database, **columns):
    columns = {"job_type": "t", **columns}
    names = ", ".join(columns)
    marks = ", ".join(["%s"] * len(columns))
    return database.execute(
        f"INSERT INTO queue.job_queue ({names}) VALUES ({marks}) RETURNING id::text",
        list(columns.values()),
    ).fetchone()[0]


def test_list_filters_and_pages(ytempire, database):
    ids = [insert(database, job_type="a") for _ in range(3)] + [insert(database, job_type="b")]
    insert(database, job_type="a", status="failed", last_error="no\nway", queue_name="q")
    page = ytempire("job", "list", "--type", "a", "--limit", "2", as_json=True)
    assert [item["status"] for item in page["items"]] == ["failed", "pending"]
    rest = ytempire("job", "list", "--type", "a", "--cursor", page["next_cursor"], as_json=True)
    assert [item["id"] for item in rest["items"]] == [ids[1], ids[0]]
    assert rest["next_cursor"] is None
    assert len(ytempire("job", "list", "--queue", "q", as_json=True)["items"]) == 1
    assert "no way" not in ytempire("job", "list", "--status", "failed")
    ytempire("job", "list", "--status", "done", code=2)
    for cursor in ("7", "1.x", "9" * 18 + ".1"):
        assert "next_cursor" in ytempire("job", "list", "--cursor", cursor, code=2)


def test_pages_show_each_job_of_one_transaction_once(ytempire, database):
    database.execute(
        "INSERT INTO queue.job_queue (job_type, payload)"
        " SELECT 't', jsonb_build_object('n', n) FROM generate_series(1, 7) AS n"
    )
    seen, cursor = [], []
    while True:
        page = ytempire("job", "list", "--limit", "3", *cursor, as_json=True)
        seen += [item["payload"]["n"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_show_takes_the_beginning_of_an_id(ytempire, database):
    job_id = insert(database, payload='{"a": 1}')
    shown = ytempire("job", "show", job_id[:6], as_json=True)
    assert (shown["id"], shown["payload"], shown["history"]) == (job_id, {"a": 1}, [])
    assert "job_type" in ytempire("job", "show", job_id)
    ytempire("job", "show", "zz", code=3)
    ytempire("job", "show", "00000000-0000-0000-0000-000000000000", code=3)
    for start in ("aaaa0000", "aaaa1111"):
        insert(database, id=f"{start}-0000-4000-8000-000000000000")
    assert "more of the id" in ytempire("job", "show", "aaaa", code=2).replace("\n", " ")


def test_retry_gives_all_attempts_again(ytempire, database):
    job_id = insert(
        database, status="failed", attempts=3, crashes=2, last_error="boom", next_retry_at=None
    )
    later = insert(database, next_retry_at="2031-01-01", attempts=1)
    ytempire("job", "retry", job_id[:8], later[:8], "--reason", "fixed it")
    rows = database.execute(
        "SELECT status, attempts, crashes, ready, next_retry_at, last_error FROM queue.job_queue"
    ).fetchall()
    assert [row[:5] for row in rows] == [("pending", 0, 0, True, None)] * 2
    assert all(row[5].endswith("fixed it") for row in rows)


def test_retry_leaves_running_and_finished_jobs_alone(ytempire, database):
    done = insert(database, status="completed")
    assert "is completed" in ytempire("job", "retry", done, code=4)
    insert(database, queueing_lock="q")
    failed = insert(database, queueing_lock="q", status="failed")
    assert "same queueing lock" in ytempire("job", "retry", failed, code=4)


def test_retry_by_filter_takes_the_failed_of_a_type(ytempire, database):
    for job_type in ("a", "a", "b"):
        insert(database, job_type=job_type, status="failed")
    assert len(ytempire("job", "retry", "--type", "a", "--dry-run", as_json=True)["items"]) == 2
    assert len(ytempire("job", "retry", "--type", "a", "--yes", as_json=True)["items"]) == 2
    rows = database.execute("SELECT job_type FROM queue.job_queue WHERE status = 'failed'")
    assert rows.fetchall() == [("b",)]
    ytempire("job", "retry", code=2)


def test_cancel_says_what_became_of_each(ytempire, database):
    waiting = insert(database)
    running = insert(database, status="processing", worker_id=1, started_at="now")
    ended = insert(database, status="completed")
    said = ytempire("job", "cancel", waiting, running, ended, "--reason", "mistake", code=4)
    assert "cancelled" in said
    assert "asked to abort" in said
    assert "has already ended" in said
    rows = database.execute(
        "SELECT status, abort_requested, last_error LIKE '%%mistake' FROM queue.job_queue"
        " ORDER BY seq"
    ).fetchall()
    assert rows == [
        ("cancelled", False, True),
        ("processing", True, True),
        ("completed", False, None),
    ]


def test_purge_deletes_what_ended_long_ago(ytempire, database):
    for status in ("completed", "failed"):
        insert(database, status=status, completed_at="2001-01-01")
        insert(database, status=status)
    insert(database)
    said = ytempire("job", "purge", "--older-than", "30d", "--dry-run", as_json=True)
    assert said == {"found": 2, "deleted": 0, "dry_run": True}
    said = ytempire(
        *("job", "purge", "--older-than", "30d", "--status", "failed", "--yes"),
        *("--reason", "seen to"),
    )
    assert "1 jobs deleted" in said
    assert "seen to" in said
    ytempire("job", "purge", "--older-than", "30d", "--yes")
    assert database.execute("SELECT count(*) FROM queue.job_queue").fetchone() == (3,)
    ytempire("job", "purge", "--older-than", "soon", code=2)
    ytempire("job", "purge", "--older-than", "1d", "--status", "pending", code=2)


def test_queue_status_tells_depth_age_rate_and_pause(ytempire, database):
    insert(database, created_at="2026-01-01", scheduled_for="2026-01-01")
    insert(database, scheduled_for="2031-01-01")
    insert(database, lock="l")
    insert(database, lock="l")
    insert(database, status="processing", worker_id=1, started_at="now")
    for _ in range(5):
        insert(database, status="completed")
    insert(database, queue_name="other", status="failed")
    ytempire("queue", "pause", "idle", "--reason", "deploy")
    items = {q["queue"]: q for q in ytempire("queue", "status", as_json=True)["items"]}
    default = items["default"]
    assert (default["ready"], default["scheduled"], default["blocked"], default["processing"]) == (
        2,
        1,
        1,
        1,
    )
    assert default["oldest_seconds"] > 86400
    assert default["completed_per_minute"] == 1.0
    assert items["other"]["not_completed_per_minute"] == 0.2
    assert items["idle"]["reason"] == "deploy"
    assert "deploy" in ytempire("queue", "status")
    assert "deployed" in ytempire("queue", "resume", "idle", "--reason", "deployed")
    kept = database.execute("SELECT paused_at, reason FROM queue.queue_state").fetchone()
    assert kept[0] is None
    assert kept[1].endswith(": deployed")
    assert "not paused" in ytempire("queue", "resume", "idle", code=4)
    ytempire("queue", "pause", "q" * 41, code=2)


def test_unreachable_database_says_try_again(ytempire, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@/none?host={tmp_path}")
    assert "cannot be reached" in ytempire("job", "list", code=75).replace("\n", " ")
