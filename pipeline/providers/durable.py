"""Writing files so that they survive a crash: whole or not at all, and on the disk."""

import contextlib
import errno
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.errors import Deferred, StageError, Transient, Waiting

CHUNK_BYTES = 1 << 20
DISK_FULL_RETRY = timedelta(minutes=5)
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{32}\.tmp")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def digest(file: Path) -> str:
    """The SHA-256 of the file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_durably(target: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `target` by `content` in one step that survives a power cut."""
    with _replacing(target, mode) as descriptor:
        _write(descriptor, content)


def copy_durably(source: Path, target: Path) -> str:
    """Copy to `target` in one step that survives a power cut; the SHA-256 of what was copied."""
    seen = hashlib.sha256()
    with source.open("rb") as stream, _replacing(target) as descriptor:
        while chunk := stream.read(CHUNK_BYTES):
            seen.update(chunk)
            _write(descriptor, chunk)
    return seen.hexdigest()


def is_temporary(file: Path) -> bool:
    """Whether the file is one that a writer has, or left, half written."""
    return _TEMPORARY.fullmatch(file.name) is not None


def flush_folder(folder: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make the folder and its parents, durably; one that exists is left as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


@contextlib.contextmanager
def _replacing(target: Path, mode: int = 0o644) -> Iterator[int]:
    # The temporary name is the writer's own: two writers of one target never share a file.
    temporary = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(target.parent)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def disk_trouble(what: str, now: datetime) -> Iterator[None]:
    """Turn what the file system refuses into what the queue should do about it.

    A full disk defers (it is not the work's fault), a forbidden path waits for a person, anything
    else is transient; `what` says what was being done, and where.
    """
    try:
        yield
    except OSError as error:
        raise _judged(what, error, now) from error


def _judged(what: str, error: OSError, now: datetime) -> StageError:
    if error.errno in _FULL:
        return Deferred(
            f"{what}: the disk is full; free some space, the work goes on by itself",
            until=now + DISK_FULL_RETRY,
        )
    if error.errno in _FORBIDDEN:
        return Waiting(f"{what}: {error.strerror}; give this user write access, then retry the run")
    return Transient(f"{what}: {error.strerror or error}")
