"""What lies in the folder of an embedded server, and the locks that say who uses it.

    postgres/                 0700, owned by the user that the server runs as
      cluster/                PostgreSQL's data
      run/                    its socket (elsewhere when the path would be too long)
      users.lock              shared by every process that uses the server
      keeper.lock             held by the process that keeps the server; holds its id
      start.lock              held by the one command that starts a keeper
      server.json             where the running server answers
      schema                  run and revision of the last migration, to skip asking again
      lease                   its time of change: the server stays up until then
      server.log              what keeper and server had to say

Only the standard library: every command passes here, most of them in a hurry.
"""

import fcntl
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import quote

FOLDER_NAME = "postgres"
POINTER_NAME = "postgres.location"
ROLE = "ytempire"
DATABASE = "ytempire"
PORT = 5432  # only names the socket file; nothing listens on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT_BYTES = 107
PROBE_TIMEOUT_SECONDS = 5.0
LOCK_POLL_SECONDS = 0.01

Notify = Callable[[str], None]
"""Told in a sentence what a person should know, such as where something was placed."""


class EmbeddedServerError(Exception):
    """The embedded server cannot be used; the message says why and what to do."""


class Answer(Enum):
    """What a server says when asked for a connection."""

    READY = "ready"
    STARTING = "starting"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What the keeper writes down about its server. `run` differs after each start."""

    run: str
    sockets: str
    postmaster_pid: int

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(self.sockets, safe='/')}"

    @property
    def socket_path(self) -> Path:
        return Path(self.sockets) / SOCKET_NAME


class ServerFolder:
    """Paths and records of one embedded server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cluster = path / "cluster"
        self.users_lock = path / "users.lock"
        self.keeper_lock = path / "keeper.lock"
        self.start_lock = path / "start.lock"
        self.lease = path / "lease"
        self.log = path / "server.log"
        self._state = path / "server.json"
        self._schema = path / "schema"

    def read_state(self) -> RunningServer | None:
        """The server as last written down; it may be gone by now."""
        try:
            return RunningServer(**json.loads(self._state.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_state(self, state: RunningServer) -> None:
        self._replace(self._state, json.dumps(asdict(state)))

    def remove_state(self) -> None:
        with suppress(OSError):
            self._state.unlink()

    def is_migrated(self, run: str, revision: str) -> bool:
        with suppress(FileNotFoundError):
            return self._schema.read_text() == f"{run} {revision}"
        return False

    def note_migrated(self, run: str, revision: str) -> None:
        self._replace(self._schema, f"{run} {revision}")

    def extend_lease(self, seconds: float) -> None:
        """Keep the server up for this long even if nobody uses it; never shortens a lease."""
        until = time.time() + seconds
        with suppress(FileNotFoundError):
            until = max(until, self.lease.stat().st_mtime)
        self.lease.touch()
        os.utime(self.lease, (until, until))
        self.hand_over(self.lease)

    def lease_left(self) -> float:
        """Seconds until the lease ends, 0 when it has ended or there is none."""
        try:
            return max(0.0, self.lease.stat().st_mtime - time.time())
        except FileNotFoundError:
            return 0.0

    def hand_over(self, path: Path) -> None:
        """As root, give a file we made to the folder's owner, who may come without root."""
        if os.geteuid() == 0:
            owner = self.path.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def open_lock(self, path: Path) -> int:
        """A descriptor to lock; children started by exec do not inherit it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.hand_over(path)
        return descriptor

    def _replace(self, path: Path, text: str) -> None:
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(text)
        self.hand_over(temporary)
        temporary.replace(path)


def existing_folder(data_dir: Path) -> Path | None:
    """The server folder of a data folder, if one was made; the quick look of every command."""
    folder = data_dir / FOLDER_NAME
    if folder.is_dir():
        return folder
    try:
        placed = Path((data_dir / POINTER_NAME).read_text().strip())
    except FileNotFoundError:
        return None
    return placed if placed.is_dir() else None


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Take a lock if it is free now. A lock of our own on this descriptor is converted."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def wait_for_lock(descriptor: int, *, exclusive: bool, deadline: float) -> bool:
    """Take a lock, or give up at `deadline` (of time.monotonic) and return False."""
    while not try_lock(descriptor, exclusive=exclusive):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOCK_POLL_SECONDS)
    return True


@contextmanager
def opened_lock(folder: ServerFolder, path: Path) -> Iterator[int]:
    """Open a lock file; closing it at the end frees the lock."""
    descriptor = folder.open_lock(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def keeper_pid(folder: ServerFolder) -> int | None:
    """The living keeper, None when there is none; 0 while it has not yet said who it is."""
    if not folder.keeper_lock.exists():
        return None
    with opened_lock(folder, folder.keeper_lock) as descriptor:
        if try_lock(descriptor, exclusive=False):
            return None
        return int(os.read(descriptor, 20) or b"0")


def ask(socket_path: Path) -> Answer:
    """Ask for a connection in PostgreSQL's own protocol, without a driver (0.1 s to import)."""
    parameters = f"user\0{ROLE}\0database\0{DATABASE}\0application_name\0ytempire probe\0\0"
    body = struct.pack("!i", 196608) + parameters.encode()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PROBE_TIMEOUT_SECONDS)
            connection.connect(str(socket_path))
            connection.sendall(struct.pack("!i", len(body) + 4) + body)
            reply = connection.recv(4096)
            connection.sendall(b"X\0\0\0\x04")
    except OSError:
        # A server that went away between its answer and our goodbye is down, too.
        return Answer.DOWN
    if reply.startswith(b"R"):
        return Answer.READY
    if reply.startswith(b"E"):
        # 57P03: starting up, shutting down or recovering. Any other refusal comes from a
        # server that is up, such as one whose connections are all taken.
        return Answer.STARTING if b"C57P03\0" in reply else Answer.READY
    return Answer.DOWN
