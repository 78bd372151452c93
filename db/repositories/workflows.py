"""Named automation workflows: `automation_workflows`."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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
    trigger_type: str
    is_active: bool
    priority: int
    configuration: Mapping[str, Any]
    schedule_cron: str | None
    timezone: str
    catch_up: str
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_run_status: str | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime
    channel_name: str | None


ROWS = {"workflow_find": WorkflowRow, "workflow_list": WorkflowRow}


class Workflows:
    """Statements of `workflow.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        name: str,
        workflow_type: str,
        channel_id: UUID | None,
        priority: int,
        configuration: Mapping[str, Any],
        schedule_cron: str | None = None,
        timezone: str = "UTC",
        catch_up: str = "latest",
        next_run_at: datetime | None = None,
    ) -> bool:
        """False when the name is taken."""
        row = await _SQL["workflow_insert"].maybe(
            self._connection,
            name=name,
            workflow_type=workflow_type,
            channel_id=channel_id,
            priority=priority,
            configuration=configuration,
            schedule_cron=schedule_cron,
            timezone=timezone,
            catch_up=catch_up,
            next_run_at=next_run_at,
        )
        return row is not None

    async def find(self, *, name: str) -> WorkflowRow | None:
        row = await _SQL["workflow_find"].maybe(self._connection, name=name)
        return WorkflowRow(**row) if row else None

    async def list(self) -> builtins.list[WorkflowRow]:
        """All of them, by name."""
        return [WorkflowRow(**row) for row in await _SQL["workflow_list"].many(self._connection)]

    async def set_active(self, *, name: str, is_active: bool, next_run_at: datetime | None) -> bool:
        """False when there is no such workflow."""
        touched = await _SQL["workflow_set_active"].exec(
            self._connection, name=name, is_active=is_active, next_run_at=next_run_at
        )
        return bool(touched)
