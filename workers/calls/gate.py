"""One gate a vendor for all workers of all hosts: a pause when it wants money, and so many calls
at the same time.

The state is in Postgres and every step of the gate is a short transaction: no connection is held
while a call runs. After a pause one caller tries whether the vendor works again; the others wait
for what it finds. A holder that was killed leaves a slot whose lease runs out.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from db.errors import DatabaseError
from db.pool import Pool, acquired, transaction
from db.repositories.providers import Providers
from pipeline.errors import Deferred, OutOfCredit, StageError

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Times in seconds: how long a vendor that wants money is left alone, how long a probe may
    take, how long a slot outlives its holder, how often and how long a caller asks for one."""

    pause: float = 3_600.0
    probe: float = 900.0
    probe_wait: float = 30.0
    lease: float = 60.0
    poll: float = 0.5
    patience: float = 120.0
    crowded_wait: float = 15.0


class ProviderGate:
    """The gate of one vendor. `concurrency` holds unless the vendor's row states another."""

    def __init__(
        self, pool: Pool, provider: str, *, concurrency: int, options: GateOptions | None = None
    ) -> None:
        self._pool = pool
        self._provider = provider
        self._concurrency = concurrency
        self._options = options or GateOptions()
        self._chance = random.Random()  # noqa: S311 - spreads callers, guards nothing

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call when the gate lets it pass.

        Raises `Deferred` without calling while the vendor is paused or its slots stay taken. What
        the call raises leaves as it is, except that `OutOfCredit` states the pause's end.
        """
        slots = await self._register()
        async with self._slot(slots):
            probing = await self._enter()
            try:
                answer = await call()
            except OutOfCredit as error:
                await self._pause(error)
                raise
            except StageError as error:
                # Whoever charges works again, whatever it thinks of this request.
                if probing:
                    await (self._resume() if error.charges else self._stay_paused())
                raise
            except BaseException:
                if probing:
                    await self._stay_paused()
                raise
            if probing:
                await self._resume()
            return answer

    async def _register(self) -> int:
        async with transaction(self._pool) as connection:
            providers = Providers(connection)
            await providers.register(provider=self._provider)
            state = await providers.lock(provider=self._provider)
            slots = state.max_concurrency or self._concurrency
            if state.paused and state.paused_until is not None:
                raise self._paused(state.reason, state.paused_until)
            await providers.add_slots(provider=self._provider, slots=slots)
            return slots

    async def _enter(self) -> bool:
        """Whether this call is the probe that ends a pause, or `Deferred`."""
        async with transaction(self._pool) as connection:
            providers = Providers(connection)
            state = await providers.lock(provider=self._provider)
            if state.paused_until is None:
                return False
            if state.paused:
                raise self._paused(state.reason, state.paused_until)
            if state.probing:
                wait = timedelta(seconds=self._options.probe_wait)
                raise self._paused(state.reason, datetime.now(UTC) + wait)
            await providers.begin_probe(provider=self._provider, seconds=self._options.probe)
        log.info("provider.probed", provider=self._provider)
        return True

    def _paused(self, reason: str | None, until: datetime) -> Deferred:
        return Deferred(f"{self._provider} is paused: {reason}", until=until)

    async def _pause(self, error: OutOfCredit) -> None:
        try:
            async with transaction(self._pool) as connection:
                providers = Providers(connection)
                error.until = await providers.pause(
                    provider=self._provider, seconds=self._options.pause, reason=str(error)
                )
                await providers.notify(
                    dedupe_key=self._dedupe_key,
                    title=f"{self._provider} is out of credit",
                    message=f"{error}. Runs that need it wait; one call an hour tries again.",
                )
        except DatabaseError as away:
            # The error must reach the step, with its charges; the next call finds out again.
            log.warning("provider.pause_lost", provider=self._provider, error=str(away))
            return
        log.warning("provider.paused", provider=self._provider, until=error.until.isoformat())

    async def _stay_paused(self) -> None:
        """The probe told nothing: the pause goes on for another turn, for the same reason."""
        with suppress(DatabaseError):
            async with transaction(self._pool) as connection:
                providers = Providers(connection)
                state = await providers.lock(provider=self._provider)
                if state.paused_until is not None:
                    await providers.pause(
                        provider=self._provider,
                        seconds=self._options.pause,
                        reason=state.reason or "",
                    )

    async def _resume(self) -> None:
        try:
            async with transaction(self._pool) as connection:
                providers = Providers(connection)
                await providers.resume(provider=self._provider)
                await providers.settle_notification(dedupe_key=self._dedupe_key)
        except DatabaseError as away:
            # The paid answer must not be lost for this; the next probe resumes.
            log.warning("provider.resume_lost", provider=self._provider, error=str(away))
            return
        log.info("provider.resumed", provider=self._provider)

    @property
    def _dedupe_key(self) -> str:
        return f"provider:{self._provider}:credit"

    @asynccontextmanager
    async def _slot(self, slots: int) -> AsyncIterator[None]:
        holder = secrets.token_hex(8)
        slot = await self._take(slots, holder)
        keeper = asyncio.create_task(self._keep(slot, holder))
        try:
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            # Shielded: a cancelled call gives its slot back at once, not when its lease runs out.
            await asyncio.shield(self._free(slot, holder))

    async def _take(self, slots: int, holder: str) -> int:
        options = self._options
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + options.patience
        while True:
            async with acquired(self._pool) as connection:
                slot = await Providers(connection).take_slot(
                    provider=self._provider, slots=slots, holder=holder, seconds=options.lease
                )
            if slot is not None:
                return slot
            if loop.time() >= patient_until:
                wait = timedelta(seconds=options.crowded_wait * self._chance.uniform(1, 2))
                raise Deferred(
                    f"all {slots} calls that {self._provider} takes at the same time are under way",
                    until=datetime.now(UTC) + wait,
                )
            await asyncio.sleep(options.poll * self._chance.uniform(0.5, 1.5))

    async def _keep(self, slot: int, holder: str) -> None:
        options = self._options
        while True:
            await asyncio.sleep(options.lease / 4)
            # While the database is away the lease may run out; then another call may come on top,
            # which the vendor refuses and the queue repeats.
            with suppress(DatabaseError):
                async with acquired(self._pool) as connection:
                    kept = await Providers(connection).keep_slot(
                        provider=self._provider, slot=slot, holder=holder, seconds=options.lease
                    )
                if not kept:
                    log.warning("provider.slot_lost", provider=self._provider, slot=slot)
                    return

    async def _free(self, slot: int, holder: str) -> None:
        with suppress(DatabaseError):
            async with acquired(self._pool) as connection:
                await Providers(connection).free_slot(
                    provider=self._provider, slot=slot, holder=holder
                )
