"""The embedded server as its users see it: real processes, real signals."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from db import embedded
from db.embedded_binaries import find_binaries, server_user
from db.embedded_cluster import make_cluster, postmaster_pid
from db.embedded_folder import EmbeddedServerError, ServerFolder, existing_folder, keeper_pid
from db.embedded_place import runnable
from tests.services.other_user import OtherUser

MakeDir = Callable[[], Path]
DEADLINE_SECONDS = 60.0
USER = """
import sys, time
from pathlib import Path
from db.embedded import ensure_running
server = ensure_running(Path(sys.argv[1]), linger_seconds=0.2)
print(server.run, server.url, flush=True)
if len(sys.argv) > 2:
    time.sleep(600)
"""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def user_process(data_dir: Path, *, stay: bool) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", USER, str(data_dir), *(["stay"] if stay else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_and_url(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stdout is not None
    run, url = process.stdout.readline().split()
    return run, url


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def ensure(data_dir: Path, told: list[str] | None = None) -> embedded.EmbeddedServer:
    return embedded.ensure_running(
        data_dir, linger_seconds=0.2, notify=(told if told is not None else []).append
    )


def folder_of(data_dir: Path) -> ServerFolder:
    found = existing_folder(data_dir)
    assert found is not None
    return ServerFolder(found)


def living_keeper(data_dir: Path) -> int:
    pid = keeper_pid(folder_of(data_dir))
    assert pid
    return pid


def living_postmaster(data_dir: Path) -> int:
    pid = postmaster_pid(folder_of(data_dir).cluster)
    assert pid is not None
    return pid


def stopped(data_dir: Path) -> bool:
    folder = folder_of(data_dir)
    return postmaster_pid(folder.cluster) is None and keeper_pid(folder) is None


def ask_server(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        assert row is not None
        return row[0]


def insert_mark(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 42 AS value")


@pytest.fixture
def data_dir(make_data_dir: MakeDir) -> Iterator[Path]:
    folder = make_data_dir()
    yield folder
    embedded.stop(folder)


def test_server_is_private_durable_and_detached(data_dir: Path) -> None:
    before = data_dir.stat()
    with ensure(data_dir) as server:
        assert (data_dir / "postgres/cluster").is_dir()
        assert ask_server(server.url, "SHOW listen_addresses") == ""
        assert ask_server(server.url, "SHOW fsync") == "on"
        assert ask_server(server.url, "SHOW max_connections") == "200"
        postmaster = psutil.Process(living_postmaster(data_dir))
        assert postmaster.uids().real != 0
        assert stat.S_IMODE((data_dir / "postgres").stat().st_mode) == 0o700
        sockets = Path(ask_server(server.url, "SHOW unix_socket_directories").strip('"'))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        after = data_dir.stat()
        assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
        # Ctrl-C at our terminal reaches neither, and neither holds our files.
        keeper = psutil.Process(living_keeper(data_dir))
        assert os.getsid(keeper.pid) != os.getsid(0)
        assert keeper.cwd() == "/"
        links = {Path(f"/proc/{keeper.pid}/fd/{number}").readlink() for number in (0, 1, 2)}
        assert links == {Path("/dev/null")}


def test_last_user_to_leave_has_it_stopped_cleanly(data_dir: Path) -> None:
    first, second = ensure(data_dir), ensure(data_dir)
    assert first.run == second.run
    insert_mark(first.url)
    first.close()
    time.sleep(1)  # several times the linger time: one user is enough
    assert ask_server(second.url, "SELECT value FROM mark") == 42
    second.close()
    second.close()
    until(lambda: stopped(data_dir), "the server stays without users")
    assert "database system is shut down" in folder_of(data_dir).log.read_text()
    with ensure(data_dir) as again:
        assert again.run != first.run
        assert ask_server(again.url, "SELECT value FROM mark") == 42


def test_connected_client_and_lease_keep_it_up(data_dir: Path) -> None:
    with ensure(data_dir) as server:
        client = psycopg.connect(server.url, autocommit=True)
    time.sleep(1)
    assert client.execute("SELECT 1").fetchone() == (1,)
    embedded.extend_lease(data_dir, 600)
    client.close()
    time.sleep(1)
    assert embedded.running_server(data_dir) is not None
    assert embedded.stop(data_dir)
    assert stopped(data_dir)
    assert not embedded.stop(data_dir)


def test_eight_starters_at_once_share_one_server(data_dir: Path) -> None:
    users = [user_process(data_dir, stay=True) for _ in range(8)]
    answers = {run_and_url(user) for user in users}
    assert len(answers) == 1
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    keepers = [
        line for line in lines if "db.embedded_keeper" in line and str(data_dir) in " ".join(line)
    ]
    assert len(keepers) == 1
    for user in users:
        kill(user)
    until(lambda: stopped(data_dir), "killed users keep the server up")


def test_killed_user_does_not_take_it_from_others(data_dir: Path) -> None:
    starter = user_process(data_dir, stay=True)
    run, url = run_and_url(starter)
    with ensure(data_dir) as server:
        assert server.run == run
        kill(starter)
        time.sleep(1)
        assert ask_server(url, "SELECT 1") == 1
    until(lambda: stopped(data_dir), "the server stays without users")


def test_killed_server_comes_back_with_all_that_was_committed(data_dir: Path) -> None:
    with ensure(data_dir) as server:
        insert_mark(server.url)
        killed = living_postmaster(data_dir)
        os.kill(killed, signal.SIGKILL)
        until(
            lambda: (state := embedded.running_server(data_dir)) and state.run != server.run,
            "the keeper does not restart the server",
        )
        assert living_postmaster(data_dir) != killed
        assert ask_server(server.url, "SELECT value FROM mark") == 42


def test_killed_keeper_leaves_the_server_to_the_next_one(data_dir: Path) -> None:
    with ensure(data_dir) as server:
        client = psycopg.connect(server.url, autocommit=True)
        killed = living_keeper(data_dir)
        os.kill(killed, signal.SIGKILL)
        until(lambda: keeper_pid(folder_of(data_dir)) is None, "the keeper survives kill -9")
        with ensure(data_dir) as again:
            assert again.run == server.run
            assert living_keeper(data_dir) != killed
            assert client.execute("SELECT 1").fetchone() == (1,)
            client.close()
    until(lambda: stopped(data_dir), "the adopted server stays without users")


def test_stop_works_without_a_keeper(data_dir: Path) -> None:
    with ensure(data_dir):
        os.kill(living_keeper(data_dir), signal.SIGKILL)
        assert embedded.stop(data_dir)
        assert stopped(data_dir)


def test_stale_pid_file_with_a_living_stranger_is_no_obstacle(data_dir: Path) -> None:
    with ensure(data_dir) as server:
        insert_mark(server.url)
        folder = folder_of(data_dir)
        os.kill(living_keeper(data_dir), signal.SIGKILL)
        os.kill(living_postmaster(data_dir), signal.SIGKILL)
        until(lambda: postmaster_pid(folder.cluster) is None, "postgres survives kill -9")
        pid_file = folder.cluster / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]))
    with ensure(data_dir) as again:
        assert ask_server(again.url, "SELECT value FROM mark") == 42


def test_maker_killed_at_work_is_followed_by_one_that_finishes(data_dir: Path) -> None:
    starter = user_process(data_dir, stay=False)
    until(lambda: list(data_dir.glob("postgres/cluster.new*/PG_VERSION")), "initdb never began")
    os.kill(living_keeper(data_dir), signal.SIGKILL)
    kill(starter)
    with ensure(data_dir) as server:
        assert ask_server(server.url, "SELECT 1") == 1
        assert (data_dir / "postgres/cluster/PG_VERSION").exists()


def test_removed_folder_takes_its_server_with_it(data_dir: Path) -> None:
    with ensure(data_dir):
        postmaster, keeper = living_postmaster(data_dir), living_keeper(data_dir)
        subprocess.run(["rm", "-rf", str(data_dir / "postgres")], check=True)
        until(lambda: not psutil.pid_exists(postmaster), "the server survives its folder")
        until(lambda: not psutil.pid_exists(keeper), "the keeper survives its folder")


def test_too_long_a_path_puts_the_socket_elsewhere_and_says_so(data_dir: Path) -> None:
    deep = data_dir / ("d" * 90) / "data"
    told: list[str] = []
    with ensure(deep, told) as server:
        assert ask_server(server.url, "SELECT 1") == 1
        said = told[-1]
        sockets = Path(server.url.partition("host=")[2])
        assert str(sockets) in said
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert embedded.stop(deep)
    assert not sockets.exists()


def test_odd_characters_in_the_path_are_no_obstacle(data_dir: Path) -> None:
    odd = data_dir / "a b,\"c%20&'é"
    with ensure(odd) as server:
        assert ask_server(server.url, "SELECT 1") == 1
    assert embedded.stop(odd)


def test_folder_that_cannot_be_made_is_a_clear_error() -> None:
    with pytest.raises(EmbeddedServerError, match=r"/proc/ytempire.*YTEMPIRE_DATA_DIR"):
        ensure(Path("/proc/ytempire"))


def test_cluster_of_an_absent_major_version_is_refused_by_name(data_dir: Path) -> None:
    with ensure(data_dir):
        pass
    assert embedded.stop(data_dir)
    (data_dir / "postgres/cluster/PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL 14.*not installed here"):
        ensure(data_dir)


def test_cluster_of_an_older_version_is_run_by_its_own_programs(data_dir: Path) -> None:
    path, user = data_dir / "postgres", server_user()
    path.mkdir(mode=0o700)
    if user is not None:
        os.chown(path, user.uid, user.gid)
    binaries = runnable(find_binaries(16), user, [].append)
    make_cluster(path, path / "cluster", binaries, user)
    with ensure(data_dir) as server:
        assert str(ask_server(server.url, "SHOW server_version")).startswith("16.")


def test_folder_below_one_of_mode_0700(data_dir: Path) -> None:
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    told: list[str] = []
    with ensure(home / "data", told) as server:
        assert ask_server(server.url, "SELECT 1") == 1
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        placed = existing_folder(home / "data")
        assert placed is not None
        if os.geteuid() == 0:
            assert not placed.is_relative_to(home)
            assert any(str(placed) in line for line in told)
            assert (home / "data/postgres.location").read_text() == f"{placed}\n"
        else:
            assert (placed, told) == (home / "data/postgres", [])
        with ensure(home / "data") as again:
            assert again.run == server.run
    assert embedded.stop(home / "data")
    subprocess.run(["rm", "-rf", str(placed)], check=True)


@pytest.fixture(scope="session")
def other_user(tmp_path_factory: pytest.TempPathFactory, make_data_dir: MakeDir) -> OtherUser:
    return OtherUser(make_data_dir())


def test_normal_user_needs_nothing_outside_its_home(other_user: OtherUser) -> None:
    data_dir = other_user.home / "data"
    done = other_user.run(USER, str(data_dir))
    assert (done.returncode, done.stderr) == (0, "")
    owner = other_user.home.stat().st_uid
    assert (data_dir / "postgres/cluster").stat().st_uid == owner
    # Whoever comes next, root included, finds the same server and leaves the owner's files his.
    with ensure(data_dir) as server:
        assert ask_server(server.url, "SELECT 1") == 1
        assert psutil.Process(living_postmaster(data_dir)).uids().real == owner
    assert embedded.stop(data_dir)
    assert {path.stat().st_uid for path in (data_dir / "postgres").iterdir()} == {owner}
    again = other_user.run(USER, str(data_dir))
    assert (again.returncode, again.stderr) == (0, "")
    embedded.stop(data_dir)


def test_folder_that_is_not_writable_is_a_clear_error(other_user: OtherUser) -> None:
    shut = other_user.home / "shut"
    shut.mkdir(mode=0o555)
    done = other_user.run(USER, str(shut / "data"))
    assert done.returncode == 1
    assert "EmbeddedServerError: The data folder" in done.stderr
    assert "Permission denied" in done.stderr
