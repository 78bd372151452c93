"""How a task beside the line reads its payload, and ends its job when its work fails."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from procrastinate import JobContext

from pipeline.errors import StageError
from workers.queue.completion import attempts_allowed
from workers.queue.outcomes import EndJob, Fail, Retry, Snooze
from workers.retry import Again, Later, decide
from workers.runtime import Runtime


def id_in(payload: Mapping[str, Any], name: str) -> UUID:
    """The id under `name`; a payload without one fails its job at once."""
    try:
        return UUID(str(payload.get(name)))
    except ValueError as error:
        refused = f'the payload is {{"{name}": "<id>"}}'
        raise EndJob(Fail(error=refused, error_class="Rejected")) from error


def ending_after(error: StageError, context: JobContext, runtime: Runtime) -> EndJob:
    """Again or later, as the error asks for and the job's attempts allow; else it fails, and a
    person sees to it."""
    decision = decide(
        error,
        finished_attempts=context.job.attempts,
        max_attempts=attempts_allowed(context),
        chance=runtime.chance,
    )
    match decision:
        case Again(delay=delay, error=text):
            return EndJob(Retry(at=delay, error=text))
        case Later(until=until, error=text):
            return EndJob(Snooze(until=until, error=text))
    return EndJob(Fail(error=decision.error, error_class=type(error).__name__))
