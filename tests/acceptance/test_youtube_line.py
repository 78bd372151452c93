"""The line against YouTube: real processes, Google's SDK, and a server that refuses what YouTube
refuses."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg

from tests.acceptance.line import Line
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Account, Fault

CANARY = "canary-do-not-tell"


def canary_account(youtube: YouTubeServer, channel: str, **options: Any) -> Account:
    return youtube.world.add_account(
        channel,
        refresh_token=f"1//{CANARY}-refresh-{len(youtube.world.accounts)}",
        client_secret=f"{CANARY}-client-secret",
        **options,
    )


def add_account(
    line: Line, account: Account, *arguments: str, email: str = "one@example.org"
) -> Any:
    return json.loads(
        line.run(
            "account", "add", "--email", email, "--credentials-file", "-", "--json", *arguments,
            input=json.dumps(account.file()),
        )
    )  # fmt: skip


def ready(line: Line, youtube: YouTubeServer) -> Account:
    """A channel with its account; the account."""
    line.add_small_channel("small", "--youtube-channel-id", "UC_own", "--playlist-id", "PL_1")
    youtube.world.playlists["PL_1"] = []
    account = canary_account(youtube, "UC_own")
    added = add_account(line, account, "--channel", "small")
    assert (added["state"], added["youtube_channel_id"]) == ("ready", "UC_own")
    assert added["channels"] == ["small"]
    return account


async def dump(line: Line) -> str:
    """Every row of every table as text."""
    connection = await asyncpg.connect(line.database_url)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = [
            await connection.fetchval(
                f"SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table['name']} t"
            )
            for table in tables
        ]
        return "\n".join(rows)
    finally:
        await connection.close()


async def test_run_ends_with_one_public_video_and_tells_no_secret(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    run = line.start_small_run()
    worked = line.attempt("worker", "--until-idle")

    shown = line.json("run", "show", run)
    assert shown["status"] == "success", (shown, worked.stderr)
    (video,) = youtube.world.videos.values()
    assert shown["video"]["youtube_video_id"] == video["id"]
    assert shown["video"]["url"] == f"https://www.youtube.com/watch?v={video['id']}"
    assert video["snippet"]["channelId"] == "UC_own"
    assert (video["snippet"]["categoryId"], video["snippet"]["defaultLanguage"]) == ("27", "en")
    status = video["status"]
    assert status["privacyStatus"] == "public"
    assert (status["selfDeclaredMadeForKids"], status["containsSyntheticMedia"]) == (False, True)
    assert youtube.world.thumbnails[video["id"]].startswith(b"\xff\xd8")
    assert list(youtube.world.captions[video["id"]]) == ["en"]
    assert youtube.world.playlists["PL_1"] == [video["id"]]
    (film,) = line.data_dir.glob("artifacts/**/*.mp4")
    assert youtube.world.files[video["id"]] == film.read_bytes()
    # Private until the id was kept: the only change of visibility is the one update.
    assert len(youtube.asked("videos.insert")) == len(youtube.asked("videos.update")) == 1

    secrets = [CANARY, *youtube.world.tokens, *youtube.world.sessions]
    told = worked.stdout + worked.stderr + line.run("account", "list", "--json")
    stored = await dump(line)
    assert "UC_own" in stored
    for secret in secrets:
        assert secret not in told
        assert secret not in stored


def test_wrong_channel_is_refused_before_the_first_byte(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    account = ready(line, youtube)
    account.channel_id = "UC_other"
    run = line.start_small_run()
    line.run("worker", "--until-idle")

    shown = line.json("run", "show", run)
    assert shown["status"] == "failed"
    assert "wrong channel" in shown["error"]
    assert youtube.asked("videos.insert") == []
    assert youtube.world.videos == {}


def test_worker_killed_in_the_upload_is_followed_by_one_that_finds_the_video(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    line.settings["YTEMPIRE_LOG_FORMAT"] = "console"
    run = line.start_small_run()
    worker = line.start_worker("--until-idle")
    youtube.world.hooks["upload.put"] = lambda _: os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(timeout=120)
    assert worker.returncode == -signal.SIGKILL
    (session,) = youtube.world.sessions
    stored = asyncio.run(dump(line))
    assert "yte-" in stored
    assert session not in stored
    line.run("worker", "--until-idle")

    shown = line.json("run", "show", run)
    assert (shown["status"], shown["error"]) == ("success", None)
    assert len(youtube.world.videos) == 1
    assert len(youtube.asked("videos.insert")) == 1
    assert youtube.asked("upload.query")[-1]["status"] == 200
    logs = "".join(log.read_text() for log in line.data_dir.glob("worker-*.log"))
    for secret in (CANARY, session, *youtube.world.tokens):
        assert secret not in logs


def test_another_account_goes_on_when_one_may_upload_no_more_today(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    ready(line, youtube)
    add_account(
        line, canary_account(youtube, "UC_own"), "--channel", "small", "--reserve",
        email="two@example.org",
    )  # fmt: skip
    youtube.world.faults.append(
        Fault("videos.insert", status=400, reason="uploadLimitExceeded", domain="youtube.video")
    )
    run = line.start_small_run()
    line.run("worker", "--until-idle")

    shown = line.json("run", "show", run)
    assert (shown["status"], shown["error"]) == ("success", None)
    states = {item["email"]: item for item in line.json("account", "list")["items"]}
    assert states["one@example.org"]["state"] == "cooling"
    assert states["one@example.org"]["health_score"] == 90
    assert states["two@example.org"]["state"] == "ready"
    assert states["two@example.org"]["uploads_today"] == 1
    assert len(youtube.world.videos) == 1


def test_revoked_account_waits_and_goes_on_once_it_is_authorised_anew(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    account = ready(line, youtube)
    youtube.world.tokens.clear()
    account.token_error = "invalid_grant"
    run = line.start_small_run()
    worked = line.attempt("worker", "--until-idle")
    told = worked.stdout + worked.stderr + asyncio.run(dump(line))
    assert "invalid_grant" in told
    assert CANARY not in told
    shown = line.json("run", "show", run)
    assert shown["status"] == "waiting"
    assert "ytempire account authorize" in shown["error"]
    assert line.json("account", "show", "one@example.org")["state"] == "needs_reauth"

    fresh = canary_account(youtube, "UC_own")
    add_account(line, fresh, "--channel", "small")
    assert line.json("account", "show", "one@example.org")["state"] == "ready"
    line.run("worker", "--until-idle")
    assert line.json("run", "show", run)["status"] == "success"
    assert len(youtube.world.videos) == 1


def test_account_of_another_channel_is_refused_and_not_stored(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    line.add_small_channel("small", "--youtube-channel-id", "UC_own")
    stranger = canary_account(youtube, "UC_other")
    said = line.refuse(
        "account", "add", "--email", "x@example.org", "--credentials-file", "-",
        "--channel", "small", code=4, input=json.dumps(stranger.file()),
    )  # fmt: skip
    assert "UC_other" in said
    assert "UC_own" in said
    assert line.json("account", "list")["items"] == []


def test_credentials_that_cannot_be_used_are_refused_without_being_told(
    on_youtube: Line, youtube: YouTubeServer
) -> None:
    line = on_youtube
    narrow = canary_account(
        youtube, "UC_own", scopes=("https://www.googleapis.com/auth/youtube.readonly",)
    )
    dead = canary_account(youtube, "UC_own", token_error="invalid_grant")
    file = _file(line.data_dir, narrow, 0o644)
    tried: list[tuple[list[str], str | None, int, str]] = [
        (["-"], json.dumps(narrow.file()), 1, "scopes"),
        (["-"], json.dumps(dead.file()), 1, "invalid_grant"),
        (["-"], '{"type": "service_account", "private_key": "' + CANARY + '"}', 1, "client_id"),
        (["-"], CANARY, 1, "authorized_user"),
        ([str(file)], None, 2, "chmod 600"),
        ([str(line.data_dir / "nowhere.json")], None, 3, "cannot read"),
    ]
    for arguments, text, code, says in tried:
        said = line.refuse(
            "account", "add", "--email", "x@example.org", "--credentials-file", *arguments,
            code=code, **({"input": text} if text is not None else {}),
        )  # fmt: skip
        assert says in said
        assert CANARY not in said
    assert line.json("account", "list")["items"] == []
    file.chmod(0o600)


def _file(folder: Path, account: Account, mode: int) -> Path:
    file = folder / "credentials.json"
    file.write_text(json.dumps(account.file()), encoding="utf-8")
    file.chmod(mode)
    return file


def test_missing_keys_for_a_shared_database_are_named_at_start_up(on_youtube: Line) -> None:
    del on_youtube.settings["YTEMPIRE_SECRET_KEYS"]
    said = on_youtube.refuse("worker", "--until-idle", code=2)
    assert "YTEMPIRE_SECRET_KEYS" in said


def test_server_runs_as_a_process_of_its_own() -> None:
    """As the chaos tests will start it."""
    with subprocess.Popen(
        ["python3", "-m", "tests.services.youtube_server"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        server.terminate()
    assert told["root"].startswith("http://127.0.0.1:")
