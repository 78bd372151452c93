"""A stored file that was damaged since: whatever made it makes it again, once."""

from uuid import UUID

import structlog

from db.pool import Connection
from db.repositories.run_control import RunControl
from pipeline.domain import ArtifactKind, StageName
from pipeline.errors import Damaged
from workers.runs.ending import hold_run
from workers.runs.retry import begin_again, step_of

log = structlog.get_logger()

MOST_REMAKES = 1


async def remake(
    connection: Connection, error: Exception, *, execution_id: UUID, stage: StageName
) -> bool:
    """Send a run that wanted to render a damaged narration back to the voice, in the transaction
    that settles its step; False when the error stands.

    The answers that were paid for are used again where they are sound. A damaged film is no more
    than refused: right before an upload nothing is done that nobody has looked at.
    """
    if not isinstance(error, Damaged) or stage is not StageName.RENDER:
        return False
    if error.kind is not ArtifactKind.NARRATION:
        return False
    run = await hold_run(connection, execution_id)
    voice = step_of(run, StageName.VOICE)
    if await RunControl(connection).count_remade(step_id=voice.id) > MOST_REMAKES:
        return False
    await begin_again(connection, run, voice, anew=False)
    log.warning("artifact.remade", run=str(execution_id), kind=error.kind.value, error=str(error))
    return True
