"""Files that are whole or absent: written under a temporary name, made durable, then renamed."""

import os
from pathlib import Path

TEMPORARY_PREFIX = ".part-"


def temporary(final: Path) -> Path:
    """Where to write what will become `final`: beside it, so that renaming is atomic.

    The suffix stays, for ffmpeg and people go by it.
    """
    return final.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{final.name}")


def keep(part: Path, final: Path) -> None:
    """Make a finished temporary file durable under its final name."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(final: Path, content: str | bytes) -> None:
    """Write a small file durably; line ends are kept as they are."""
    part = temporary(final)
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    keep(part, final)


def sweep(folder: Path) -> None:
    """Remove what killed attempts left half written; one render owns a folder at a time."""
    for part in folder.glob(f"{TEMPORARY_PREFIX}*"):
        part.unlink(missing_ok=True)
