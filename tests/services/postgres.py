"""The PostgreSQL server of a test session: one for all xdist workers, nothing durable.

The process that started pytest owns a folder `/tmp/yt-pg-*` and holds a lock in it. Whoever
first needs the server starts it there; the owner stops it and removes the folder at the end.
A session that was killed leaves its folder behind without the lock, and the next one removes it.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from db import migrate
from db.embedded_binaries import find_binaries, server_environment, server_user
from db.embedded_place import runnable

FOLDER_PREFIX = "yt-pg-"
ROOT = Path("/tmp")  # noqa: S108 - a socket path must stay under 107 bytes; TMPDIR may be long
TEMPLATE = "ytempire_template"
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 20
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "jit": "off",
    "autovacuum_naptime": "10s",
    "timezone": "UTC",
    "listen_addresses": "",
    "log_min_messages": "warning",
}


class SessionFolder:
    """The folder of this test session, held by a lock until `remove`."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=ROOT))
        self.path.chmod(0o711)
        # Locked before it has its name, so that no other session takes it for abandoned.
        unnamed = self.path / "session.lock.new"
        self._lock = unnamed.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / "session.lock")

    def remove(self) -> None:
        _discard(self.path)
        self._lock.close()


def remove_abandoned() -> None:
    """Stop the servers and remove the folders of sessions that were killed."""
    for folder in ROOT.glob(f"{FOLDER_PREFIX}*"):
        try:
            lock = (folder / "session.lock").open()
        except OSError:
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _discard(folder)


def _discard(folder: Path) -> None:
    """Stop every server whose data folder lies in this folder, then remove it all."""
    for pid_file in folder.glob("**/postmaster.pid"):
        _stop(pid_file)
    shutil.rmtree(folder, ignore_errors=True)


def _stop(pid_file: Path) -> None:
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    for kind in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if not _is_postmaster(pid, pid_file.parent):
                return
            if kind is not None:
                os.kill(pid, kind)
                kind = None
            time.sleep(0.02)


def _is_postmaster(pid: int, data: Path) -> bool:
    """Guard against a reused process id: the postmaster's working folder is its data folder."""
    try:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z"):
            return False
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False


class PostgresServer:
    """The running server, seen from one test process: makes and drops databases."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder = folder
        self._worker = worker
        self._numbers = count(1)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}/s"

    def start(self, major: int, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start the server and migrate its template, unless another process already did.

        `settings` go before those that tests want.
        """
        with (self._folder / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ready = self._folder / "ready"
            if ready.exists():
                return
            self._launch(major, {**SETTINGS, **settings})
            self._admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            migrate.upgrade(self.url(TEMPLATE))
            ready.touch()

    def create_database(self, *, migrated: bool = True) -> str:
        """A fresh database: a clone of the migrated template, or an empty one."""
        name = f"t_{self._worker}_{next(self._numbers)}"
        self.copy_database(TEMPLATE if migrated else "template0", name)
        return name

    def copy_database(self, source: str, name: str) -> None:
        """A database like `source`, to which nobody may be connected."""
        self._admin(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )

    def drop_database(self, name: str) -> None:
        self._admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """URL of a fresh database that is dropped afterwards, whoever is connected."""
        name = self.create_database(migrated=migrated)
        try:
            yield self.url(name)
        finally:
            self.drop_database(name)

    def _admin(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _launch(self, major: int, settings: Mapping[str, str]) -> None:
        user = server_user()
        binaries = runnable(find_binaries(major), user, lambda _: None)
        data, sockets = self._folder / "data", self._folder / "s"
        for folder in (data, sockets):
            folder.mkdir(mode=0o700)
            if user is not None:
                os.chown(folder, user.uid, user.gid)
        identity = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
        environment = server_environment(data)
        made = subprocess.run(
            [
                str(binaries.program("initdb")),
                *("-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"),
                *("-E", "UTF8", "--no-locale"),
            ],
            env=environment,
            cwd=data,
            capture_output=True,
            text=True,
            check=False,
            **identity,
        )
        assert made.returncode == 0, made.stderr
        options = [f"-c{name}={value}" for name, value in settings.items()]
        log = self._folder / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    str(binaries.program("postgres")),
                    *("-D", str(data), "-k", str(sockets)),
                    *options,
                ],
                env=environment,
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **identity,
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            assert server.poll() is None, log.read_text()
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            else:
                # Its owner stops it by its pid file; this object must not warn about it.
                server.returncode = 0
                return
