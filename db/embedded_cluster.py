"""Makes a PostgreSQL cluster, and knows whether a process is its postmaster."""

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from db.embedded_binaries import PostgresBinaries, ServerUser, server_environment
from db.embedded_folder import DATABASE, PORT, ROLE, EmbeddedServerError

DRAFT_PREFIX = "cluster.new"
INITDB_TIMEOUT_SECONDS = 300
ORPHAN_TIMEOUT_SECONDS = 10
HBA = """\
# Only the owner of the folder (and root) reaches the socket; nothing listens on TCP.
local all all trust
local replication all trust
"""
# What an operator may change with ALTER SYSTEM; fsync stays on: the data is real.
TUNING = """
max_connections = 200
shared_buffers = 128MB
jit = off
max_wal_size = 1GB
checkpoint_timeout = 15min
wal_compression = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
"""


def identity(user: ServerUser | None) -> Mapping[str, Any]:
    """Keyword arguments that make subprocess run a program as the server's user."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def make_cluster(
    folder: Path, cluster: Path, binaries: PostgresBinaries, user: ServerUser | None
) -> None:
    """Make the cluster under another name and move it into place once it is whole.

    A maker that was killed leaves a draft, which the next one removes as far as it can: an
    orphaned initdb may still be writing there. The caller holds the keeper's lock.
    """
    for left in folder.glob(f"{DRAFT_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    draft = folder / f"{DRAFT_PREFIX}-{uuid.uuid4().hex[:8]}"
    draft.mkdir(mode=0o700)
    if user is not None:
        os.chown(draft, user.uid, user.gid)
    initdb = [
        str(binaries.program("initdb")),
        *("-D", str(draft), "-U", ROLE, "-A", "trust", "-E", "UTF8", "--no-locale"),
    ]
    _run(initdb, draft, user)
    (draft / "pg_hba.conf").write_text(HBA)
    with (draft / "postgresql.conf").open("a") as configuration:
        configuration.write(f"\n# ytempire\n{TUNING}")
    single = [str(binaries.program("postgres")), "--single", "-D", str(draft), "postgres"]
    _run(single, draft, user, stdin=f'CREATE DATABASE "{DATABASE}"\n')
    draft.rename(cluster)


def server_command(cluster: Path, sockets: Path, binaries: PostgresBinaries) -> list[str]:
    """Starts the server in the foreground, on its Unix socket only."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": _quoted_path(sockets),
        "unix_socket_permissions": "0700",
        "port": str(PORT),
        "logging_collector": "off",
    }
    command = [str(binaries.program("postgres")), "-D", str(cluster)]
    return command + [f"-c{name}={value}" for name, value in settings.items()]


def postmaster_pid(cluster: Path) -> int | None:
    """The process that serves this cluster now; None when there is none.

    A pid file alone proves nothing: after a crash or a reboot its number may be anybody's. A
    postmaster works in its data folder, so that is compared.
    """
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return pid if Path(process.cwd()).samefile(cluster) else None
    except (OSError, ValueError, psutil.Error):
        return None


def clear_after_crash(cluster: Path, socket_path: Path) -> None:
    """Remove what a killed postmaster left, lest a reused process id keeps the server down.

    Its children end by themselves when they notice, and until then a new server would corrupt
    the data. PostgreSQL's own guard against that is in the pid file, so it goes last.
    """
    pid_file = cluster / "postmaster.pid"
    if pid_file.exists():
        deadline = time.monotonic() + ORPHAN_TIMEOUT_SECONDS
        while orphans := _processes_in(cluster):
            if time.monotonic() > deadline:
                for process in orphans:
                    process.kill()
            time.sleep(0.05)
        pid_file.unlink()
    for path in (socket_path, socket_path.with_name(f"{socket_path.name}.lock")):
        path.unlink(missing_ok=True)


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """Every process of a server works in its data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and Path(process.cwd()).samefile(cluster):
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def stop_postmaster(cluster: Path, *, timeout: float) -> bool:
    """Stop whatever serves this cluster: cleanly at first, at once if that takes too long.

    True if it ended cleanly or was not running, False if it had to be stopped hard (the next
    start then recovers from the log; nothing committed is lost).
    """
    for kind in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        pid = postmaster_pid(cluster)
        if pid is None:
            return kind is signal.SIGINT
        os.kill(pid, kind)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if postmaster_pid(cluster) is None:
                return kind is signal.SIGINT
            time.sleep(0.02)
    raise EmbeddedServerError(f"The database server {pid} of {cluster} does not stop")


def _quoted_path(path: Path) -> str:
    """The setting is a list: a comma, blank or quote in a path needs quotes around it."""
    return '"' + str(path).replace('"', '""') + '"'


def _run(command: list[str], cluster: Path, user: ServerUser | None, stdin: str = "") -> None:
    try:
        done = subprocess.run(
            command,
            input=stdin,
            cwd=cluster,
            env=server_environment(cluster),
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT_SECONDS,
            check=False,
            **identity(user),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedServerError(f"{command[0]} could not run: {error}") from error
    if done.returncode != 0 or "FATAL" in done.stderr or "ERROR" in done.stderr:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise EmbeddedServerError(f"Making the database in {cluster.parent} failed: {said}")
