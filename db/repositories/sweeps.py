"""What may go: `sweep.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("sweep")


@dataclass(frozen=True, slots=True)
class SweptRun:
    """A run whose scratch folder is looked at; `ended_seconds` ago it ended, None: it has not."""

    id: UUID
    status: str
    ended_seconds: float | None


ROWS = {"sweep_list_runs": SweptRun}


class Sweeps:
    """Statements of `sweep.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_kept(self, *, urls: Sequence[str], video_ids: Sequence[UUID]) -> set[str]:
        """Of these files of these videos, pairwise, those that stay."""
        rows = await _SQL["sweep_list_kept"].many(
            self._connection, urls=list(urls), video_ids=list(video_ids)
        )
        return {row["url"] for row in rows}

    async def list_runs(self, *, execution_ids: Sequence[UUID]) -> list[SweptRun]:
        """Those of these runs that there are."""
        rows = await _SQL["sweep_list_runs"].many(
            self._connection, execution_ids=list(execution_ids)
        )
        return [SweptRun(**row) for row in rows]
