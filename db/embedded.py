"""PostgreSQL when no DATABASE_URL is given: one server a data folder, shared by its processes.

    with database_url(settings) as url: ...    what commands use: embedded and migrated, or given

A process uses the server while it holds `users.lock` shared; the kernel frees it however the
process ends. A keeper (`db.embedded_keeper`) stops the server when nobody holds it any more.
A command that finds the server up and migrated reads two small files, exchanges two packets
with the server and loads neither driver nor Alembic.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from db.embedded_folder import (
    Answer,
    EmbeddedServerError,
    Notify,
    RunningServer,
    ServerFolder,
    ask,
    existing_folder,
    keeper_pid,
    opened_lock,
    wait_for_lock,
)
from db.revisions import head_revision

LINGER_SECONDS = 5.0
"""How long an unused server stays, so that one command after the other finds it up."""

START_TIMEOUT_SECONDS = 180.0
STOP_TIMEOUT_SECONDS = 90.0


class DatabaseSettings(Protocol):
    """The two settings that decide where the database is."""

    @property
    def database_url(self) -> str | None: ...

    @property
    def data_dir(self) -> Path: ...


class EmbeddedServer:
    """A running server, which stays up at least until `close` or the end of this process."""

    def __init__(self, folder: ServerFolder, state: RunningServer, users: int) -> None:
        self.url = state.url
        self.folder = folder
        self.run = state.run
        self._users: int | None = users

    def close(self) -> None:
        """Stop using the server. A repeat does nothing."""
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def database_url(settings: DatabaseSettings) -> Iterator[str]:
    """URL of the database: the given one as it is, else the embedded one, up and migrated.

    The embedded server stays up while the context is open. Only the embedded database is
    migrated; of a given one, `ytempire db migrate` takes care.
    Raises EmbeddedServerError, PostgresNotFoundError, db.migrate.MigrationError.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    with ensure_running(settings.data_dir) as server:
        ensure_migrated(server)
        yield server.url


def ensure_migrated(server: EmbeddedServer, *, trust_note: bool = True) -> list[str]:
    """Migrate the embedded database, and return what was applied.

    A note in the folder says that it was done since the server started; `trust_note=False`
    asks the database all the same.
    """
    head = head_revision()
    if trust_note and server.folder.is_migrated(server.run, head):
        return []
    from db import migrate  # Alembic takes longer to load than most commands take to run

    applied = migrate.upgrade(server.url)
    server.folder.note_migrated(server.run, head)
    return applied


def tell_on_stderr(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def ensure_running(
    data_dir: Path,
    *,
    linger_seconds: float = LINGER_SECONDS,
    notify: Notify = tell_on_stderr,
) -> EmbeddedServer:
    """Have the server of a data folder up, and use it until the result is closed.

    Any number of processes may call it at once: one starts the server, the others wait for it.
    The first call makes the cluster (a second or two). `linger_seconds` counts for the server
    that this call starts, if it starts one; `notify` is told where things were placed when that
    is not in the data folder. Raises EmbeddedServerError and PostgresNotFoundError.
    """
    try:
        return _ensure_running(data_dir.absolute(), linger_seconds, notify)
    except OSError as error:
        raise EmbeddedServerError(
            f"The data folder {data_dir} cannot be used: {error.strerror or error} "
            f"({error.filename or data_dir}). Make it writable for you, or set YTEMPIRE_DATA_DIR "
            "to a folder that is."
        ) from error


def running_server(data_dir: Path) -> RunningServer | None:
    """The server of a data folder if it is up now; starts nothing and uses nothing."""
    path = existing_folder(data_dir.absolute())
    if path is None:
        return None
    state = ServerFolder(path).read_state()
    return state if state and ask(state.socket_path) is Answer.READY else None


def extend_lease(data_dir: Path, seconds: float) -> None:
    """Keep the server of a data folder up for a while although no process of ours uses it.

    For those whom we cannot see coming, such as psql with a URL that we printed.
    """
    path = existing_folder(data_dir.absolute())
    if path is not None:
        ServerFolder(path).extend_lease(seconds)


def stop(data_dir: Path) -> bool:
    """Stop the server of a data folder cleanly, whoever uses it. False if it was not running.

    Connections are closed; what they had not committed is rolled back. Those who go on using
    the folder need a command that starts the server again.
    """
    path = existing_folder(data_dir.absolute())
    if path is None:
        return False
    folder = ServerFolder(path)
    if folder.lease.exists():
        folder.lease.unlink()
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    stopped = False
    while (pid := keeper_pid(folder)) is not None:
        if pid:
            stopped = True
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"The keeper {pid} of the database in {path} does not stop")
        time.sleep(0.05)
    from db.embedded_cluster import postmaster_pid, stop_postmaster

    if postmaster_pid(folder.cluster) is not None:  # its keeper was killed
        stopped = True
        stop_postmaster(folder.cluster, timeout=STOP_TIMEOUT_SECONDS / 3)
    folder.remove_state()
    return stopped


def _ensure_running(data_dir: Path, linger_seconds: float, notify: Notify) -> EmbeddedServer:
    path = existing_folder(data_dir)
    if path is None:
        from db.embedded_place import prepare_folder  # loads what only a start needs

        path = prepare_folder(data_dir, notify)
    folder = ServerFolder(path)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    users = folder.open_lock(folder.users_lock)
    try:
        # Waits only while a keeper is stopping the server that nobody used.
        if not wait_for_lock(users, exclusive=False, deadline=deadline):
            raise EmbeddedServerError(f"The database in {folder.path} does not finish stopping")
        state = _answering(folder)
        if state is None or keeper_pid(folder) is None:
            state = _start(folder, linger_seconds, notify, deadline)
        return EmbeddedServer(folder, state, users)
    except BaseException:
        os.close(users)
        raise


def _answering(folder: ServerFolder) -> RunningServer | None:
    state = folder.read_state()
    return state if state and ask(state.socket_path) is Answer.READY else None


def _start(
    folder: ServerFolder, linger_seconds: float, notify: Notify, deadline: float
) -> RunningServer:
    with opened_lock(folder, folder.start_lock) as starting:
        if not wait_for_lock(starting, exclusive=True, deadline=deadline):
            raise EmbeddedServerError(f"Another command is still starting {folder.path}")
        while time.monotonic() < deadline:
            if keeper_pid(folder) is None:
                _start_keeper(folder, linger_seconds, notify)
            state = _answering(folder)
            if state is not None:
                return state
            time.sleep(0.02)
    raise EmbeddedServerError(
        f"The database in {folder.path} was not ready after {START_TIMEOUT_SECONDS:.0f} s; see "
        f"{folder.log}"
    )


def _start_keeper(folder: ServerFolder, linger_seconds: float, notify: Notify) -> None:
    """Start a keeper, detached from us, and wait until it has the server up or says why not."""
    import subprocess  # only those who start a server need these

    from db.embedded_keeper import Order
    from db.embedded_place import decide

    place = decide(folder.path, notify)
    order = Order(place.folder, place.sockets, place.binaries, place.user, linger_seconds)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as report:
        try:
            subprocess.run(
                # -P: a `db` folder in the current directory must not win.
                [sys.executable, "-P", "-m", "db.embedded_keeper", order.to_json(), str(write_end)],
                pass_fds=(write_end,),
                start_new_session=True,
                cwd="/",
                env=_keeper_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        finally:
            os.close(write_end)
        said = report.read().decode().strip()
    if said:
        raise EmbeddedServerError(said)


def _keeper_environment() -> dict[str, str]:
    """It lives longer than we do, so it gets none of our secrets."""
    kept = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}
