"""Room on the disk of this host: a full one parks steps, a nearly full one keeps jobs away.

Below a queue's floor, twice what its largest usual job takes, this worker takes no job from it
until there is room again. Jobs that keep the house are always taken: they make room.
"""

import errno
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

import structlog

from pipeline.errors import Deferred, StageError
from pipeline.flow import QUEUES
from pipeline.providers.durable import DISK_FULL_RETRY
from workers.settings import Settings

log = structlog.get_logger()

MEBIBYTE = 1024**2
#: Twice a render's segments, film and stored copy; twice a film fetched from a bucket; twice the
#: recordings of a narration.
FLOOR_BYTES: Mapping[str, int] = MappingProxyType(
    {"render": 1024 * MEBIBYTE, "upload": 256 * MEBIBYTE, "default": 128 * MEBIBYTE}
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What children say that cannot write, ffmpeg among them.
_SAID = ("No space left on device", "Disk quota exceeded")


def free_bytes(folder: Path) -> int:
    """What is free where the folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def folders_of(settings: Settings) -> tuple[Path, ...]:
    """Where the stages of this host write: the data folder, and the artifacts if they are in
    another one."""
    url = urlsplit(settings.artifact_url or "")
    apart = (Path(unquote(url.path)),) if url.scheme == "file" else ()
    return (settings.data_dir, *apart)


class DiskGuard:
    """Keeps one worker from queues whose jobs the disk has no room for."""

    def __init__(self, *folders: Path, free: Callable[[Path], int] = free_bytes) -> None:
        self._folders = folders
        self._free = free
        self._low: frozenset[str] = frozenset()

    def __call__(self, queues: Iterable[str] | None) -> list[str] | None:
        """Those of the queues that may be served now; None: all there are."""
        free, folder = min((self._free(folder), folder) for folder in self._folders)
        low = frozenset(queue for queue, floor in FLOOR_BYTES.items() if free < floor)
        if low != self._low:
            told = {"free_bytes": free, "not_served": sorted(low), "folder": str(folder)}
            log.warning("disk.low" if low else "disk.enough", **told)
            self._low = low
        if not low:
            return None if queues is None else list(queues)
        return [queue for queue in (QUEUES if queues is None else queues) if queue not in low]


def parked(error: Exception) -> Exception:
    """The error; `Deferred` in its place when all that was wrong is a full disk: the step is not
    to blame, and goes on when there is room."""
    if isinstance(error, Deferred) or not _is_full(error):
        return error
    return Deferred(
        f"the disk of this host is full: {error}; free some space, the run goes on by itself",
        until=datetime.now(UTC) + DISK_FULL_RETRY,
        charges=error.charges if isinstance(error, StageError) else (),
    )


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, StageError) and any(said in str(error) for said in _SAID):
            return True
        error = error.__cause__ or error.__context__
    return False
