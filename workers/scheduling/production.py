"""Automatic production: a channel's `upload_schedule` begins its runs.

A channel without times in its schedule never produces by itself, nor does one that is paused, or
whose automation is off. A slot begins at most one run, and a day of the channel's clock at most
`videos_per_day`, over any number of workers: the channel's row is locked while its slots are dealt
with, and a run's idempotency key names its slot.
"""

from datetime import datetime
from uuid import UUID

import structlog

from db.errors import Contended, Unavailable
from db.pool import Connection, Pool, acquired, transaction
from db.repositories.schedules import ProducingChannel, Schedules
from pipeline.errors import Rejected
from workers.runs.starting import RunRequest, start_run
from workers.scheduling.slots import Slot, UploadSchedule, due_slots
from workers.scheduling.zones import BadSchedule, time_zone

log = structlog.get_logger()


async def start_due_productions(pool: Pool, *, now: datetime | None = None) -> int:
    """Begin the runs of the slots that are near; how many. One channel's trouble is its own."""
    async with acquired(pool) as connection:
        channels = await Schedules(connection).list_producing(now=now)
    begun = 0
    for row in channels:
        try:
            begun += await _produce(pool, row.id, now) if _due(row) else 0
        except (Unavailable, Contended):
            raise
        except Exception:
            log.exception("production.failed", channel=row.name)
    return begun


async def _produce(pool: Pool, channel_id: UUID, now: datetime | None) -> int:
    async with transaction(pool) as connection:
        row = await Schedules(connection).claim_channel(channel_id=channel_id, now=now)
        if row is None:
            return 0
        slots = _due(row)
        begun = sum([await _begin(connection, row, slot) for slot in slots])
        if slots:
            await Schedules(connection).set_handled(
                channel_id=row.id, until=max(slot.at for slot in slots)
            )
        return begun


def _due(row: ProducingChannel) -> list[Slot]:
    try:
        return due_slots(
            UploadSchedule.read(row.upload_schedule),
            time_zone(row.timezone),
            reviewed=not row.auto_publish,
            now=row.now,
            handled_until=row.slots_handled_until,
        )
    except BadSchedule as error:  # written by hand: our commands refuse it
        log.warning("production.unusable", channel=row.name, error=str(error))
        return []


async def _begin(connection: Connection, row: ProducingChannel, slot: Slot) -> int:
    of_day = f"production:{row.id}:{slot.day}"
    made = await Schedules(connection).count_produced(channel_id=row.id, prefix=of_day)
    if made >= row.videos_per_day:
        log.info("production.day_full", channel=row.name, slot=slot.name, made=made)
        return 0
    try:
        async with connection.transaction():
            started = await start_run(
                connection,
                RunRequest(channel=str(row.id), publish_at=slot.at if slot.at > row.now else None),
                idempotency_key=f"production:{row.id}:{slot.name}",
                trigger_data={"slot": slot.at.isoformat()},
            )
    except Rejected as error:
        log.warning("production.refused", channel=row.name, slot=slot.name, error=str(error))
        return 0
    log.info(
        "production.started",
        channel=row.name,
        slot=slot.name,
        run=str(started.execution_id),
        new=started.new,
    )
    return int(started.new)
