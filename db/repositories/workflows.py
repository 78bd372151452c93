"""Named automation workflows: `automation_workflows`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("workflow")


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """What a trigger starts from: a default channel, a priority, and default fields of a run."""

    id: UUID
    name: str
    workflow_type: str
    is_active: bool
    priority: int
    configuration: Mapping[str, Any]
    channel_name: str | None


ROWS = {"workflow_find": WorkflowRow}


class Workflows:
    """Statements of `workflow.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find(self, *, name: str) -> WorkflowRow | None:
        row = await _SQL["workflow_find"].maybe(self._connection, name=name)
        return WorkflowRow(**row) if row else None
