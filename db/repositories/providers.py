"""Vendors as all workers share them: `provider_state`, `provider_slots`, notifications."""

from dataclasses import dataclass
from datetime import datetime

from db.pool import Connection
from db.statements import load

_SQL = load("provider")


@dataclass(frozen=True, slots=True)
class ProviderState:
    """`paused`: before `paused_until`. `probing`: a call is trying whether the vendor works again.

    `max_concurrency`, when set, wins over the workers' setting.
    """

    paused_until: datetime | None
    reason: str | None
    max_concurrency: int | None
    paused: bool
    probing: bool


@dataclass(frozen=True, slots=True)
class PausedProvider:
    provider: str
    paused_until: datetime
    reason: str


ROWS = {"provider_lock": ProviderState, "provider_list_paused": PausedProvider}


class Providers:
    """Statements of `provider.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def register(self, *, provider: str) -> None:
        """Make the row of a provider; a repeat changes nothing."""
        await _SQL["provider_register"].exec(self._connection, provider=provider)

    async def lock(self, *, provider: str) -> ProviderState:
        """The state of a registered provider, locked for the transaction."""
        row = await _SQL["provider_lock"].one(self._connection, provider=provider)
        return ProviderState(**row)

    async def begin_probe(self, *, provider: str, seconds: float) -> None:
        await _SQL["provider_begin_probe"].exec(
            self._connection, provider=provider, seconds=seconds
        )

    async def pause(self, *, provider: str, seconds: float, reason: str) -> datetime:
        """Pause, or keep the pause there is; until when."""
        row = await _SQL["provider_pause"].one(
            self._connection, provider=provider, seconds=seconds, reason=reason
        )
        until: datetime = row["paused_until"]
        return until

    async def resume(self, *, provider: str) -> bool:
        """False when it was not paused."""
        return bool(await _SQL["provider_resume"].exec(self._connection, provider=provider))

    async def add_slots(self, *, provider: str, slots: int) -> None:
        await _SQL["provider_add_slots"].exec(self._connection, provider=provider, slots=slots)

    async def take_slot(
        self, *, provider: str, slots: int, holder: str, seconds: float
    ) -> int | None:
        """A free slot of the first `slots`, or one whose lease ran out; None when all are taken."""
        row = await _SQL["provider_take_slot"].maybe(
            self._connection, provider=provider, slots=slots, holder=holder, seconds=seconds
        )
        return int(row["slot"]) if row else None

    async def keep_slot(self, *, provider: str, slot: int, holder: str, seconds: float) -> bool:
        """False when the slot has another holder by now."""
        return bool(
            await _SQL["provider_keep_slot"].exec(
                self._connection, provider=provider, slot=slot, holder=holder, seconds=seconds
            )
        )

    async def free_slot(self, *, provider: str, slot: int, holder: str) -> None:
        """Give the slot back; nothing happens when it has another holder by now."""
        await _SQL["provider_free_slot"].exec(
            self._connection, provider=provider, slot=slot, holder=holder
        )

    async def notify(self, *, dedupe_key: str, title: str, message: str) -> None:
        """Tell the operator, once as long as it is unread."""
        await _SQL["provider_notify"].exec(
            self._connection, dedupe_key=dedupe_key, title=title, message=message
        )

    async def settle_notification(self, *, dedupe_key: str) -> None:
        await _SQL["provider_settle_notification"].exec(self._connection, dedupe_key=dedupe_key)

    async def list_paused(self) -> list[PausedProvider]:
        rows = await _SQL["provider_list_paused"].many(self._connection)
        return [PausedProvider(**row) for row in rows]
