"""Where an embedded server lives and as whom it runs: decided once, before it is made.

PostgreSQL refuses to run as root, so root hands it to another user, and that user must be able
to reach the programs and the data. What lies below a folder it may not enter (a home of mode
0700) is placed under /var/lib/ytempire (or /var/tmp) instead. Permissions of folders that are
not ours are never changed.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from db.embedded_binaries import (
    PostgresBinaries,
    PostgresNotFoundError,
    ServerUser,
    find_binaries,
    server_environment,
    server_user,
)
from db.embedded_folder import (
    FOLDER_NAME,
    POINTER_NAME,
    SOCKET_NAME,
    SOCKET_PATH_LIMIT_BYTES,
    EmbeddedServerError,
    Notify,
    existing_folder,
)

SHELTERS = (Path("/var/lib/ytempire"), Path("/var/tmp/ytempire"))  # noqa: S108 - checked for owner
ROOT_SOCKETS = Path("/run/ytempire")
USER_SOCKETS = Path("/tmp")  # noqa: S108 - holds a 0700 folder of ours whose owner is checked


@dataclass(frozen=True, slots=True)
class Place:
    """A decided place: programs, folders, and the user (None: the one we are)."""

    folder: Path
    sockets: Path
    binaries: PostgresBinaries
    user: ServerUser | None


def prepare_folder(data_dir: Path, notify: Notify) -> Path:
    """The server folder of a data folder, made if need be. Two makers at once agree on one."""
    found = existing_folder(data_dir)
    if found is not None:
        return found
    data_dir.mkdir(parents=True, exist_ok=True)
    user = _user_for(data_dir)
    if user is None or _may_enter(user, data_dir):
        folder = data_dir / FOLDER_NAME
        _make_private(folder, user)
        return folder
    shelter = _shelter()
    (shelter / "data").mkdir(mode=0o711, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=shelter / "data"))
    os.chown(folder, user.uid, user.gid)
    pointer = data_dir / POINTER_NAME
    draft = data_dir / f"{POINTER_NAME}.{os.getpid()}"
    draft.write_text(f"{folder}\n")
    try:
        os.link(draft, pointer)  # unlike rename, fails when another command was quicker
    except FileExistsError:
        folder.rmdir()
        return prepare_folder(data_dir, notify)
    finally:
        draft.unlink()
    notify(
        f"The database's user {user.name} may not enter {data_dir}, so the database is placed "
        f"in {folder}."
    )
    return folder


def decide(folder: Path, notify: Notify) -> Place:
    """Everything needed to start the server of a folder.

    An existing cluster is run by programs of its own major version.
    Raises EmbeddedServerError or PostgresNotFoundError.
    """
    user = _owner(folder)
    made_by = folder / "cluster" / "PG_VERSION"
    major = int(made_by.read_text().strip()) if made_by.exists() else None
    try:
        binaries = find_binaries(major)
    except PostgresNotFoundError as error:
        if major is None:
            raise
        raise EmbeddedServerError(
            f"The database in {folder} was made by PostgreSQL {major}, which only its own major "
            f"version can open. {error}"
        ) from error
    return Place(folder, _sockets(folder, user, notify), runnable(binaries, user, notify), user)


def runnable(
    binaries: PostgresBinaries, user: ServerUser | None, notify: Notify
) -> PostgresBinaries:
    """The programs, or a copy of them where the server's user can reach and run it."""
    if user is None or _may_run(user, binaries):
        return binaries
    return _copied(binaries, user, notify)


def _user_for(data_dir: Path) -> ServerUser | None:
    """Root works in a folder of a normal user as that user, who can then go on without root."""
    if os.geteuid() != 0:
        return None
    owner = data_dir.stat()
    if owner.st_uid != 0:
        try:
            entry = pwd.getpwuid(owner.st_uid)
        except KeyError:
            return server_user()
        return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    return server_user()


def _owner(folder: Path) -> ServerUser | None:
    """Who the server of this folder runs as, which is whoever owns it."""
    owner = folder.stat().st_uid
    try:
        entry = pwd.getpwuid(owner)
    except KeyError as error:
        raise EmbeddedServerError(
            f"{folder} belongs to user id {owner}, which this machine does not know; PostgreSQL "
            "cannot run as it. Give the folder to a known user, or choose another data folder."
        ) from error
    if os.geteuid() == owner:
        if owner == 0:
            raise EmbeddedServerError(
                f"{folder} belongs to root, but PostgreSQL refuses to run as root. Give it to "
                "the user that it was made with, or remove it if it is empty."
            )
        return None
    if os.geteuid() != 0:
        raise EmbeddedServerError(
            f"The database in {folder} belongs to user {entry.pw_name}. Run as that user or as "
            "root, or set YTEMPIRE_DATA_DIR to a folder of your own."
        )
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_private(folder: Path, user: ServerUser | None) -> None:
    """Make a 0700 folder that has its owner from its first moment, also for a racing maker."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    if user is not None:
        os.chown(draft, user.uid, user.gid)
    try:
        draft.rename(folder)  # replaces an empty folder, refuses one in use
    except OSError:
        draft.rmdir()
        if not folder.is_dir():
            raise


def _sockets(folder: Path, user: ServerUser | None, notify: Notify) -> Path:
    sockets = folder / "run"
    if _fits(sockets):
        _make_own(sockets, user)
        return sockets
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    if os.geteuid() == 0 and os.access("/run", os.W_OK):
        ROOT_SOCKETS.mkdir(mode=0o711, exist_ok=True)
        sockets = ROOT_SOCKETS / digest
    else:
        sockets = USER_SOCKETS / f"ytempire-{digest}"
    _make_own(sockets, user)
    notify(
        f"The path of {folder} is too long for a socket (over {SOCKET_PATH_LIMIT_BYTES} bytes) or "
        f"has a comma, which divides hosts in a URL; the database listens in {sockets}."
    )
    return sockets


def _fits(sockets: Path) -> bool:
    return (
        "," not in str(sockets)
        and len(os.fsencode(sockets / SOCKET_NAME)) <= SOCKET_PATH_LIMIT_BYTES
    )


def _make_own(folder: Path, user: ServerUser | None) -> None:
    """Make a private folder for the server, or make sure that an existing one is just that.

    In /tmp anybody could have made it first and would then own our socket.
    """
    try:
        folder.mkdir(mode=0o700)
        if user is not None:
            os.chown(folder, user.uid, user.gid)
    except FileExistsError:
        pass
    found = folder.lstat()
    owners = {os.geteuid(), user.uid} if user else {os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{folder} is not a private folder of ours (owner {found.st_uid}, mode "
            f"{stat.S_IMODE(found.st_mode):o}). Remove it, or choose another data folder."
        )
    if user is not None and found.st_uid != user.uid:
        os.chown(folder, user.uid, user.gid)  # its maker was killed before it did


def _shelter() -> Path:
    """A folder of root's that every user may pass through."""
    for shelter in SHELTERS:
        try:
            shelter.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        found = shelter.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022:
            return shelter
    raise EmbeddedServerError(
        "PostgreSQL cannot run as root, its user may not enter the folder of this installation "
        f"or of its data, and none of {', '.join(map(str, SHELTERS))} can be used instead. Set "
        "YTEMPIRE_DATA_DIR to a folder that others may enter, or set DATABASE_URL."
    )


def _as(user: ServerUser, *command: str) -> bool:
    """Whether a command succeeds as that user; the only way that honours ACLs and the like."""
    try:
        done = subprocess.run(
            command,
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            env=server_environment(Path("/")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _may_enter(user: ServerUser, folder: Path) -> bool:
    return _as(user, "test", "-x", str(folder.resolve()))


def _may_run(user: ServerUser, binaries: PostgresBinaries) -> bool:
    """Both are asked: the server alone does without the libraries beside it."""
    programs = ("initdb", "postgres")
    return all(_as(user, str(binaries.program(name)), "--version") for name in programs)


def _copied(binaries: PostgresBinaries, user: ServerUser, notify: Notify) -> PostgresBinaries:
    """A copy of the programs that the user may run, shared by all data folders."""
    tree = binaries.bin_dir.parent
    package = tree.parent
    original = binaries.program("postgres").stat()
    name = f"postgresql-{binaries.major}-{original.st_size:x}-{original.st_mtime_ns:x}"
    copy = _shelter() / name
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=copy.parent))
        # The wheel's libraries lie beside its package, and its programs find them from there.
        for part in (Path(package.name, tree.name), Path(f"{package.name}.libs")):
            if (package.parent / part).is_dir():
                shutil.copytree(
                    package.parent / part,
                    draft / part,
                    ignore=shutil.ignore_patterns("include"),
                )
        for path in (draft, *draft.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))  # an install under umask 077
        try:
            draft.rename(copy)
        except OSError:
            shutil.rmtree(draft)  # another command was quicker
            if not copy.exists():
                raise
        notify(
            f"The database's user {user.name} may not enter {tree}, so PostgreSQL's programs are "
            f"copied to {copy}."
        )
    copied = PostgresBinaries(copy / package.name / tree.name / "bin", binaries.major)
    if not _may_run(user, copied):
        raise EmbeddedServerError(
            f"The database's user {user.name} cannot run {copied.program('postgres')}. Remove "
            f"{copy} to have it copied anew, or set DATABASE_URL to a server of your own."
        )
    return copied
