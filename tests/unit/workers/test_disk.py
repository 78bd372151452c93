"""A nearly full disk keeps jobs away, a full one parks steps."""

import errno
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from pipeline.domain import Charge
from pipeline.errors import Deferred, Rejected, Transient
from workers.disk import FLOOR_BYTES, MEBIBYTE, DiskGuard, folders_of, free_bytes, parked
from workers.settings import Settings

PLENTY = 100 * 1024 * MEBIBYTE


class Disk:
    """A disk whose room is set by hand."""

    def __init__(self) -> None:
        self.free = PLENTY

    def __call__(self, folder: Path) -> int:
        return self.free


@pytest.mark.parametrize(
    ("free", "queues", "served"),
    [
        (PLENTY, None, None),
        (PLENTY, ["render"], ["render"]),
        (FLOOR_BYTES["render"], None, None),
        (FLOOR_BYTES["render"] - 1, None, ["default", "upload", "analytics", "maintenance"]),
        (FLOOR_BYTES["render"] - 1, ["render"], []),
        (FLOOR_BYTES["render"] - 1, ["render", "mine"], ["mine"]),
        (0, None, ["analytics", "maintenance"]),
    ],
)
def test_queues_are_served_while_there_is_room_for_their_jobs(
    free: int, queues: list[str] | None, served: list[str] | None
) -> None:
    disk = Disk()
    disk.free = free
    assert DiskGuard(Path("/data"), free=disk)(queues) == served


def test_the_guard_tells_when_it_closes_and_opens_and_nothing_between() -> None:
    disk = Disk()
    guard = DiskGuard(Path("/data"), free=disk)
    with structlog.testing.capture_logs() as logs:
        for free in (PLENTY, 5, 4, PLENTY, PLENTY):
            disk.free = free
            guard(None)
    assert [entry["event"] for entry in logs] == ["disk.low", "disk.enough"]
    assert logs[0]["not_served"] == ["default", "render", "upload"]


def test_the_fullest_of_the_folders_counts(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {"YTEMPIRE_DATA_DIR": str(tmp_path), "YTEMPIRE_ARTIFACT_URL": "file:///shelf%20one"}
    )
    shelf = Path("/shelf one")
    assert folders_of(settings) == (tmp_path, shelf)
    guard = DiskGuard(*folders_of(settings), free=lambda folder: 0 if folder == shelf else PLENTY)
    assert guard(["render"]) == []


def test_room_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there" / "yet") > 0


def chained(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        chained(RuntimeError("no"), OSError(errno.ENOSPC, "full")),
        Transient("Joining the segments: exit code 1: av_write: No space left on device"),
    ],
)
def test_full_disk_defers_the_step_and_keeps_its_charges(error: Exception) -> None:
    charge = Charge("openai", "script.write", Decimal(1), Decimal(1), "tokens")
    if isinstance(error, Transient):
        error.charges = (charge,)
    found = parked(error)
    assert isinstance(found, Deferred)
    assert "the disk of this host is full" in str(found)
    assert found.until > datetime.now(UTC)
    assert found.charges == ((charge,) if isinstance(error, Transient) else ())


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        Rejected("no"),
        Deferred("tomorrow", until=datetime(2026, 11, 20, tzinfo=UTC)),
        ValueError("No space left on device, said the script"),
    ],
)
def test_any_other_error_stands(error: Exception) -> None:
    assert parked(error) is error
