"""What the operator should know: `notifications`."""

import builtins
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("notification")


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to know; `action_url` is where something can be done about it."""

    id: UUID
    type: str
    title: str
    message: str | None
    action_url: str | None
    is_read: bool
    read_at: datetime | None
    created_at: datetime


ROWS = {"notification_list": Notification}


class Notifications:
    """Statements of `notification.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def raise_(
        self,
        *,
        type_: Literal["info", "success", "warning", "error"],
        title: str,
        message: str,
        dedupe_key: str,
    ) -> None:
        """Tell the operator; nothing happens while one with this key is unread."""
        await _SQL["notification_raise"].exec(
            self._connection, type=type_, title=title, message=message, dedupe_key=dedupe_key
        )

    async def list(
        self,
        *,
        unread_only: bool = True,
        before: datetime | None = None,
        before_id: UUID | None = None,
        limit: int = 50,
    ) -> builtins.list[Notification]:
        """Newest first, after the row (before, before_id) when given."""
        rows = await _SQL["notification_list"].many(
            self._connection,
            unread_only=unread_only,
            before=before,
            before_id=before_id,
            limit=limit,
        )
        return [Notification(**row) for row in rows]

    async def list_ids_like(self, *, prefix: str) -> builtins.list[UUID]:
        """At most two ids that begin with the prefix."""
        rows = await _SQL["notification_list_ids_like"].many(self._connection, prefix=prefix)
        return [row["id"] for row in rows]

    async def mark_read(self, *, notification_id: UUID) -> bool:
        """False when it was read before."""
        row = await _SQL["notification_mark_read"].maybe(
            self._connection, notification_id=notification_id
        )
        return row is not None

    async def mark_all_read(self) -> int:
        """How many there were."""
        return await _SQL["notification_mark_all_read"].exec(self._connection)
