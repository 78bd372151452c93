"""Work that goes on when who asked for it is cancelled: a paid call that has been sent.

Cut off, its answer would be lost and nobody would book it before it has settled; left alone for a
moment, it is. The stage that asked stops at once all the same.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from pipeline.errors import LostClaim

T = TypeVar("T")
log = structlog.get_logger()

# The end of a worker leaves five seconds to what was cancelled.
CLOSE_PATIENCE_SECONDS = 3.0


class UnderWay:
    """The calls of one process that have been sent and not yet been written down."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end, even if this is cancelled meanwhile: then behind our back."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(_tell)
            raise

    async def close(self) -> None:
        """Wait a moment for what is still under way, then cut it off: it settles and is looked
        up."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=CLOSE_PATIENCE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _tell(task: "asyncio.Task[Any]") -> None:
    """What came of a call whose stage was cancelled."""
    if task.cancelled():
        log.warning("call.cut_off")
        return
    error = task.exception()
    booked = error is None or isinstance(error, LostClaim)
    log.warning("call.ended_late", booked=booked, error=None if error is None else str(error))
