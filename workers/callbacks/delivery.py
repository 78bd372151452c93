"""Callbacks are delivered: at least once, with one webhook-id, until they are answered or given up.

    prepare  short transaction: lock the row, look at its address, count the attempt
    send     no connection held
    settle   one transaction: what the answer means for the row, and for the job that sent it

A crash between the answer and its record repeats the callback with the same webhook-id; receivers
tell repeats by it.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from procrastinate import JobContext

from db.pool import Connection, transaction
from db.repositories.deliveries import Deliveries, Delivery
from pipeline.errors import LostClaim
from workers.callbacks.answers import (
    HOLD_SECONDS,
    LONGEST_WAIT_SECONDS,
    Delivered,
    Early,
    Failed,
    Hopeless,
    Judgement,
    delay_after,
    delay_after_early,
    judge,
)
from workers.callbacks.client import Unreachable
from workers.callbacks.outbox import tell_dead
from workers.callbacks.rules import RefusedAddress, Target
from workers.queue.completion import record
from workers.queue.outcomes import Finish, Snooze
from workers.retry import describe
from workers.runs.preview_links import preview_url
from workers.runtime import Runtime
from workers.settings import Settings
from workers.signatures import ID_HEADER, TIMESTAMP_HEADER, sign_with

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ends: the row's new state, and in how many seconds it is tried again."""

    status: str
    error: str | None = None
    status_code: int | None = None
    failures: int = 0
    early_answers: int = 0
    delay: float | None = None
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that is about to be sent."""

    row: Delivery
    target: Target


@dataclass(frozen=True, slots=True)
class Refused:
    """A delivery that is not sent now."""

    row: Delivery
    settlement: Settlement
    target: Target | None = None


async def deliver(runtime: Runtime, context: JobContext, delivery_id: UUID) -> None:
    """Send a delivery once and end this job with what came of it."""
    prepared = await _prepare(runtime, UUID(str(context.job.id)), delivery_id)
    if prepared is None:
        return
    row = prepared.row
    if isinstance(prepared, Refused):
        settlement = prepared.settlement
    else:
        code, judgement = await _send(runtime, prepared)
        settlement = settle_by(judgement, row, code, runtime.chance)

    async def write(connection: Connection) -> None:
        await _write(connection, row, settlement, prepared)

    again = None if settlement.delay is None else timedelta(seconds=settlement.delay)
    outcome = (
        Finish() if again is None else Snooze(until=again, error=settlement.error or "not yet")
    )
    try:
        await record(context, outcome, write)
    except LostClaim as error:
        log.warning("callback.claim_lost", delivery=str(delivery_id), error=str(error))
        return
    log.info(
        "callback.settled",
        status=settlement.status,
        delivery=str(delivery_id),
        run=str(row.execution_id),
        callback_event=row.event,
        status_code=settlement.status_code,
        error=settlement.error,
    )


async def _prepare(runtime: Runtime, job_id: UUID, delivery_id: UUID) -> Attempt | Refused | None:
    """None when there is nothing to do: it has ended, or another job sends it."""
    async with transaction(runtime.pool) as connection:
        deliveries = Deliveries(connection)
        row = await deliveries.lock(delivery_id=delivery_id)
        if row is None or row.status != "pending" or row.job_id != job_id:
            return None
        url = _address(row, runtime.settings)
        if url is None:
            return Refused(row, Settlement("skipped", "YTEMPIRE_ALERT_CALLBACK_URL is not set"))
        try:
            target = runtime.settings.callback_rules.check(url)
        except RefusedAddress as error:
            return Refused(row, Settlement("dead", f"the address is refused: {error}"))
        if await deliveries.is_gone(delivery_id=row.id, callback_url=url):
            gone = "the receiver said 410 to an earlier one"
            return Refused(row, Settlement("dead", gone, failures=row.failures), target)
        hold = await deliveries.find_hold(origin=target.origin)
        if hold > 0:
            return Refused(row, _held(row, target, hold, runtime), target)
        await deliveries.mark_attempt(delivery_id=row.id, callback_url=url, origin=target.origin)
        return Attempt(row, target)


def _address(row: Delivery, settings: Settings) -> str | None:
    return settings.alert_callback_url if row.recipient == "alert" else row.callback_url


def _held(row: Delivery, target: Target, hold: float, runtime: Runtime) -> Settlement:
    """Spread out: what waited together must not arrive together."""
    return Settlement(
        "pending",
        f"{target.origin} is overloaded",
        failures=row.failures,
        early_answers=row.early_answers,
        delay=hold + runtime.chance.uniform(0, 1),
    )


async def _send(runtime: Runtime, attempt: Attempt) -> tuple[int | None, Judgement]:
    try:
        body = body_of(attempt.row, runtime.settings)
        headers = headers_of(attempt, runtime.settings, body)
        answer = await runtime.callbacks.send(attempt.target, headers=headers, body=body.encode())
    except Unreachable as error:
        return None, Failed(str(error))
    except RefusedAddress as error:
        return None, Hopeless(f"the address is refused: {error}")
    except Exception as error:
        # A bug of ours must not cost the callback: it is a failed attempt, and loud.
        log.exception("callback.attempt_broke", delivery=str(attempt.row.id))
        return None, Failed(describe(error))
    return answer.status, judge(answer.status, answer.text, retry_after=answer.retry_after)


def body_of(row: Delivery, settings: Settings) -> str:
    """The text that is signed and sent, the same at every attempt."""
    data: dict[str, Any] = {**row.body["data"]}
    if row.event == "run.waiting":
        data["preview_url"] = preview_url(settings, row.execution_id, now=row.queued_at)
    message = {"type": row.body["type"], "timestamp": row.body["timestamp"], "data": data}
    return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def headers_of(attempt: Attempt, settings: Settings, body: str) -> Mapping[str, str]:
    """Standard Webhooks' headers, and the operator's own for receivers that the operator named."""
    row, moment = attempt.row, attempt.row.now
    headers = {
        "Content-Type": "application/json",
        ID_HEADER: str(row.id),
        TIMESTAMP_HEADER: str(int(moment.timestamp())),
        **sign_with(settings.callback_secrets, message_id=str(row.id), at=moment, body=body),
    }
    named = attempt.target.listed or row.recipient == "alert"
    if settings.callback_header is not None and named:
        name, _, value = settings.callback_header.partition(": ")
        headers[name] = value
    return headers


def settle_by(
    judgement: Judgement, row: Delivery, code: int | None, chance: random.Random
) -> Settlement:
    """What an answer means for the row; pure but for the jitter."""
    match judgement:
        case Delivered(note=note):
            return Settlement("delivered", note, code, row.failures, row.early_answers)
        case Hopeless(reason=reason):
            return Settlement("dead", reason, code, row.failures, row.early_answers)
        case Early():
            early = row.early_answers + 1
            delay = delay_after_early(early)
            if delay is None:
                return Settlement("dead", "n8n's execution never waited", code, row.failures, early)
            return Settlement(
                "pending", "n8n's execution does not wait yet", code, row.failures, early, delay
            )
        case Failed(reason=reason, wait=wait, overloaded=overloaded):
            failures = row.failures + 1
            delay = delay_after(failures, wait, chance)
            hold = min(wait or HOLD_SECONDS, LONGEST_WAIT_SECONDS) if overloaded else None
            if delay is None:
                given_up = f"{reason} (given up after {failures} failures)"
                return Settlement("dead", given_up, code, failures, row.early_answers, hold=hold)
            later = max(delay, hold or 0.0)
            return Settlement("pending", reason, code, failures, row.early_answers, later, hold)


async def _write(
    connection: Connection, row: Delivery, settlement: Settlement, prepared: Attempt | Refused
) -> None:
    await Deliveries(connection).settle(
        delivery_id=row.id,
        status=settlement.status,
        status_code=settlement.status_code,
        error=settlement.error,
        failures=settlement.failures,
        early_answers=settlement.early_answers,
        delay=settlement.delay,
        hold=settlement.hold,
    )
    if settlement.status == "dead":
        origin = prepared.target.origin if prepared.target else None
        await tell_dead(connection, row.id, row.event, row.execution_id, origin, settlement.error)
