"""Which worker is hurt how and where: made from the seed before anything starts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from pipeline.domain import StageName
from pipeline.failpoints import Point
from tests.services.faults import Fault

# Within an upload each call that leaves something outside is a place of its own.
UPLOAD_CALLS = ("open_upload", "send", "publish", "add_thumbnail", "add_captions")


def cells() -> list[tuple[StageName, Point, str | None]]:
    """Every stage at every point, with the call where a stage makes several."""
    found: list[tuple[StageName, Point, str | None]] = []
    for stage in StageName:
        for point in Point:
            if stage is StageName.UPLOAD and point is Point.AFTER_SEND:
                found += [(stage, point, call) for call in UPLOAD_CALLS]
            elif stage is StageName.UPLOAD and point is Point.AFTER_INTENT:
                found.append((stage, point, ""))  # the journal's own
            else:
                found.append((stage, point, None))
    return found


def schedule(chance: random.Random, *, exits: int, freezes: int, runs: int) -> list[Fault]:
    """All faults of a play, in no order.

    Every cell is killed once before any is killed twice. The occasions are early enough that all
    of them come while there is work.
    """
    furthest = max(1, min(3, runs // (2 * max(1, exits + freezes))))

    numbers = itertools.count(1)

    def faults(action: str, count: int) -> Iterator[Fault]:
        while count:
            turn = cells()
            chance.shuffle(turn)
            for stage, point, operation in turn[:count]:
                nth = chance.randint(1, furthest)
                yield Fault(stage.value, point.value, action, nth, operation, next(numbers))
            count -= min(count, len(turn))

    planned = [*faults("exit", exits), *faults("freeze", freezes)]
    chance.shuffle(planned)
    return planned


def cell_name(entry: dict[str, object]) -> str:
    """stage-point, as counted in the report."""
    operation = f".{entry['operation']}" if entry["operation"] else ""
    return f"{entry['stage']}-{entry['point']}{operation}"


def required() -> set[str]:
    """The cells that must have been hit by a kill."""
    return {
        cell_name({"stage": stage.value, "point": point.value, "operation": operation})
        for stage, point, operation in cells()
    }
