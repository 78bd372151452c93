"""Named moments at which a test may let a step fail, in the order in which a step passes them.

    before_intent    the step is claimed, nothing of it has begun
    after_intent     what is about to be done outside is committed, and nothing was sent
    after_send       the outside has done it, and nobody here has seen the answer
    after_response   the answer is kept
    before_commit    everything is written in the record transaction, nothing is committed
    after_commit     it is committed, and this process has not noticed
    after_finish     the worker has let go of the job

Off, a point costs one look at a module's variable. Only `arm`, a call in the very process, switches
points on: no variable of the environment, payload, setting or file does, and nothing that is
shipped calls it.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum


class Point(StrEnum):
    """See the module."""

    BEFORE_INTENT = "before_intent"
    AFTER_INTENT = "after_intent"
    AFTER_SEND = "after_send"
    AFTER_RESPONSE = "after_response"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"
    AFTER_FINISH = "after_finish"


Trigger = Callable[[Point, str], Awaitable[None]]
"""Called with the point and the place: the stage or the job type that has come to it."""

_trigger: Trigger | None = None


async def reach(point: Point, place: str) -> None:
    """Say that `place` has come to `point`; raises whatever an armed trigger raises."""
    if _trigger is not None:
        await _trigger(point, place)


def arm(trigger: Trigger | None) -> None:
    """Have `trigger` called at every point of this process from now on; None switches it off."""
    global _trigger
    _trigger = trigger
