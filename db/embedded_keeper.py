"""The process that keeps an embedded server: starts it, restarts it, stops it.

Started detached by the first command that needs the database, one a folder. It owns no state:
when it is killed the server goes on, and the next command starts a keeper that takes it over.

    users.lock shared by somebody   the server stays
    nobody, for a while             no client connected, no lease: the server is stopped
    SIGTERM                         `db stop`: the server is stopped, whoever uses it
    the folder is gone              the server is stopped at once
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from db.embedded_binaries import PostgresBinaries, ServerUser, server_environment
from db.embedded_cluster import (
    clear_after_crash,
    identity,
    make_cluster,
    postmaster_pid,
    server_command,
    stop_postmaster,
)
from db.embedded_folder import (
    SOCKET_NAME,
    Answer,
    EmbeddedServerError,
    RunningServer,
    ServerFolder,
    ask,
    opened_lock,
    try_lock,
    unlock,
)

TICK_SECONDS = 0.25
START_TIMEOUT_SECONDS = 120.0  # recovery after a crash replays up to max_wal_size
STOP_TIMEOUT_SECONDS = 30.0
RESTART_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STABLE_SECONDS = 60.0
LOG_LIMIT_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What the starter decided; passed as JSON in the one argument."""

    folder: Path
    sockets: Path
    binaries: PostgresBinaries
    user: ServerUser | None
    linger_seconds: float

    def to_json(self) -> str:
        user = [self.user.name, self.user.uid, self.user.gid] if self.user else None
        return json.dumps(
            {
                "folder": str(self.folder),
                "sockets": str(self.sockets),
                "bin_dir": str(self.binaries.bin_dir),
                "major": self.binaries.major,
                "user": user,
                "linger_seconds": self.linger_seconds,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Order":
        given = json.loads(text)
        return cls(
            folder=Path(given["folder"]),
            sockets=Path(given["sockets"]),
            binaries=PostgresBinaries(Path(given["bin_dir"]), given["major"]),
            user=ServerUser(*given["user"]) if given["user"] else None,
            linger_seconds=given["linger_seconds"],
        )


class Keeper:
    """Runs in its own process, holding the keeper's lock throughout."""

    def __init__(self, order: Order, log: IO[bytes]) -> None:
        self._order = order
        self._folder = ServerFolder(order.folder)
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._stop_wanted = threading.Event()
        self._run = ""

    def request_stop(self, *_: object) -> None:
        self._stop_wanted.set()

    def start(self) -> None:
        """Have the server running: made if it is new, taken over if it runs already."""
        folder = self._folder
        if not (folder.cluster / "PG_VERSION").exists():
            make_cluster(folder.path, folder.cluster, self._order.binaries, self._order.user)
        pid = postmaster_pid(folder.cluster)
        state = folder.read_state()
        sockets = self._order.sockets
        if pid is not None and state is not None and state.postmaster_pid == pid:
            sockets = Path(state.sockets)
            self._run = state.run
        elif pid is not None:
            # Its socket may be elsewhere and its starter died before it wrote that down.
            stop_postmaster(folder.cluster, timeout=STOP_TIMEOUT_SECONDS)
            pid = None
        if pid is None:
            pid = self._launch()
        self._await_ready(sockets)
        folder.write_state(RunningServer(self._run, str(sockets), pid))

    def keep(self) -> None:
        """Return once the server has been stopped, for whichever reason."""
        with ExitStack() as held:
            users = held.enter_context(opened_lock(self._folder, self._folder.users_lock))
            used_at = started_at = time.monotonic()
            failures = 0
            while not self._stop_wanted.wait(TICK_SECONDS):
                now = time.monotonic()
                if not self._folder_is_there(users):
                    self._note("the folder is gone; stopping")
                    break
                if not self._is_running():
                    failures = 0 if now - started_at > STABLE_SECONDS else failures + 1
                    self._restart(failures)
                    started_at = time.monotonic()
                    continue
                if not try_lock(users, exclusive=True):
                    used_at = now
                    continue
                # Nobody can come while we hold it; whoever tries waits for our decision.
                if now - used_at >= self._order.linger_seconds:
                    if not self._is_wanted():
                        self._note("nobody uses the server; stopping")
                        self._stop()
                        return
                    used_at = now
                unlock(users)
            self._stop()

    def _is_wanted(self) -> bool:
        if self._folder.lease_left() > 0:
            return True
        state = self._folder.read_state()
        if state is None:
            return False
        try:
            with psycopg.connect(state.url, connect_timeout=5, autocommit=True) as connection:
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ).fetchone()
        except psycopg.OperationalError as error:
            # Full up means used; anything else is seen at the next tick.
            self._note(f"could not ask who is connected: {error}")
            return True
        return row is not None and row[0] > 0

    def _is_running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return postmaster_pid(self._folder.cluster) is not None

    def _folder_is_there(self, users: int) -> bool:
        try:
            return os.path.samestat(os.fstat(users), self._folder.users_lock.stat())
        except OSError:
            return False

    def _restart(self, failures: int) -> None:
        self._note("the server is gone; starting it again")
        pause = RESTART_PAUSES_SECONDS[min(failures, len(RESTART_PAUSES_SECONDS) - 1)]
        if self._stop_wanted.wait(pause):
            return
        try:
            self._child = None
            self.start()
        except EmbeddedServerError as error:
            self._note(str(error))

    def _launch(self) -> int:
        folder, order = self._folder, self._order
        clear_after_crash(folder.cluster, order.sockets / SOCKET_NAME)
        self._child = subprocess.Popen(
            server_command(folder.cluster, order.sockets, order.binaries),
            cwd=folder.cluster,
            env=server_environment(folder.cluster),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            **identity(order.user),
        )
        self._run = uuid.uuid4().hex
        return self._child.pid

    def _await_ready(self, sockets: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while ask(sockets / SOCKET_NAME) is not Answer.READY:
            if not self._is_running():
                raise EmbeddedServerError(
                    f"PostgreSQL did not start: {self._last_words()} (all of it in "
                    f"{self._folder.log})"
                )
            if time.monotonic() > deadline:
                self._stop()
                raise EmbeddedServerError(
                    f"PostgreSQL was not ready after {START_TIMEOUT_SECONDS:.0f} s; see "
                    f"{self._folder.log}"
                )
            time.sleep(0.01)

    def _last_words(self) -> str:
        lines = self._folder.log.read_text(errors="replace").splitlines()[-20:]
        told = [line for line in lines if "FATAL" in line or "PANIC" in line or "error" in line]
        return (told or lines or ["no word"])[-1]

    def _stop(self) -> None:
        self._folder.remove_state()
        if (self._folder.cluster / "postmaster.pid").exists():
            if not stop_postmaster(self._folder.cluster, timeout=STOP_TIMEOUT_SECONDS):
                self._note("the server did not stop in time and was stopped hard")
        elif self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGQUIT)
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_TIMEOUT_SECONDS)

    def _note(self, text: str) -> None:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        self._log.write(f"{moment} UTC [{os.getpid()}] keeper: {text}\n".encode())
        self._log.flush()


def main(arguments: Sequence[str]) -> int:
    """Keep the server of the order in `arguments[0]`; tell descriptor `arguments[1]` the start.

    One line: empty when the server is ready, else why it is not.
    """
    order, report = Order.from_json(arguments[0]), int(arguments[1])
    folder = ServerFolder(order.folder)
    if os.fork():
        # The starter waits for us, not for the keeper, which is init's child from here on.
        os._exit(0)
    with opened_lock(folder, folder.keeper_lock) as lock, _open_log(folder) as log:
        if not try_lock(lock, exclusive=True):
            os.close(report)  # another keeper was quicker; the starter looks again
            return 0
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        keeper = Keeper(order, log)
        signal.signal(signal.SIGTERM, keeper.request_stop)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        try:
            keeper.start()
        except (EmbeddedServerError, OSError) as error:
            _remove_outside_sockets(order)
            _tell(report, str(error))
            return 1
        _tell(report, "")
        keeper.keep()
        _remove_outside_sockets(order)
    return 0


def _remove_outside_sockets(order: Order) -> None:
    if order.sockets.parent != order.folder:
        with suppress(OSError):  # not empty: a server that we could not stop
            order.sockets.rmdir()


def _tell(report: int, message: str) -> None:
    with suppress(BrokenPipeError), os.fdopen(report, "wb") as pipe:  # the starter was killed
        pipe.write(message.encode() + b"\n")


def _open_log(folder: ServerFolder) -> IO[bytes]:
    with suppress(FileNotFoundError):
        if folder.log.stat().st_size > LOG_LIMIT_BYTES:
            folder.log.replace(folder.log.with_name(f"{folder.log.name}.1"))
    log = folder.log.open("ab")
    folder.hand_over(folder.log)
    return log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
