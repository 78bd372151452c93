"""What may still be spent: sums of `video_costs` and of what the call ledger has reserved."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("budget")


@dataclass(frozen=True, slots=True)
class ChannelBudget:
    """A channel and what it may cost a day in US dollars; None: no limit of its own."""

    id: UUID
    name: str
    daily_budget: Decimal | None


@dataclass(frozen=True, slots=True)
class Sums:
    """US dollars: booked, reserved for calls of unknown end, reserved for calls under way; of the
    video in all, of its channel and of all channels today (UTC)."""

    video_spent: Decimal
    video_unknown: Decimal
    video_open: Decimal
    channel_spent: Decimal
    channel_unknown: Decimal
    channel_open: Decimal
    day_spent: Decimal
    day_unknown: Decimal
    day_open: Decimal
    tomorrow: datetime


ROWS = {"budget_channel": ChannelBudget, "budget_sums": Sums}


class Budgets:
    """Statements of `budget.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self) -> None:
        """Until the end of the transaction nobody else reserves anything."""
        await _SQL["budget_lock"].exec(self._connection)

    async def channel(self, *, video_id: UUID) -> ChannelBudget:
        """The channel of a video."""
        return ChannelBudget(
            **await _SQL["budget_channel"].one(self._connection, video_id=video_id)
        )

    async def sums(self, *, video_id: UUID, channel_id: UUID) -> Sums:
        return Sums(
            **await _SQL["budget_sums"].one(
                self._connection, video_id=video_id, channel_id=channel_id
            )
        )
