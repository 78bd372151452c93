"""What outcomes mean for an account: its state, its health, and whether another one goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Accounts, Standing
from db.repositories.channels import Channels
from db.repositories.reservations import Reservations
from db.repositories.uploads import Uploads
from pipeline.domain import StageName
from pipeline.errors import Deferred, Rejected, StageError
from pipeline.hosting import AccountEffect, AccountTrouble
from workers.accounts.choice import obstacles
from workers.accounts.health import (
    ERRORS_IN_A_ROW,
    FULL,
    GAIN_PUBLISHED,
    RESUMED,
    ROW_REST,
    after_gain,
    after_loss,
    health_at,
)
from workers.accounts.quota_charges import (
    end_reservation,
    load_policy,
    lock_buckets,
    moment_of,
    release,
)
from workers.accounts.quota_policy import CORE, Need

TROUBLE = "trouble"  # why a reservation ended
# What only a person lifts is not lifted by a lesser trouble.
_WEIGHT = {"ready": 0, "cooling": 1, "needs_reauth": 2, "disabled": 3, "suspended": 4}


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an effect does to the account: its new state (None: none), the health it costs, whether
    it is about all of its Cloud project, and whether the operator is told."""

    state: str | None
    health_loss: float
    whole_project: bool = False
    notify: bool = False


CONSEQUENCES: Mapping[AccountEffect, Consequence] = {
    AccountEffect.HICCUP: Consequence(None, 3),
    AccountEffect.COOL: Consequence("cooling", 10),
    AccountEffect.BENCH: Consequence("cooling", 0, whole_project=True),
    AccountEffect.REAUTHORISE: Consequence("needs_reauth", 40, notify=True),
    AccountEffect.DISABLE: Consequence("disabled", FULL, notify=True),
    AccountEffect.SUSPEND: Consequence("suspended", FULL, notify=True),
    AccountEffect.DOUBT: Consequence("cooling", 15),
    AccountEffect.CONFIGURE: Consequence(None, 0, notify=True),
}


# A channel's own health, moved by what becomes of its videos, whoever uploads them.
CHANNEL_POINTS: Mapping[AccountEffect, int] = {AccountEffect.COOL: -5, AccountEffect.SUSPEND: -100}
CHANNEL_REJECTED = -20
CHANNEL_PUBLISHED = 2


async def after_trouble(
    pool: Pool, error: StageError, *, execution_id: UUID, channel_id: UUID, video_id: UUID
) -> StageError:
    """What an upload's error becomes when another account of the channel can go on now: `Deferred`
    until now. The same error when none can, or when the attempt may have sent anything: another
    account would not see it, and would make a second video.
    """
    trouble = error.trouble
    if trouble is None or not trouble.rotate:
        return error
    async with transaction(pool) as connection:
        live = await Uploads(connection).find_live(video_id=video_id)
        if live is not None and not live.untouched:
            return error
        # An ambiguous refusal may be about the video: it is tried with one other account.
        if trouble.effect is AccountEffect.DOUBT and await Reservations(connection).count_ended(
            execution_id=execution_id, reason=TROUBLE
        ):
            return error
        if not await _another_can(connection, trouble, channel_id):
            return error
    return Deferred(
        f"{error}; another account of the channel goes on",
        until=datetime.now(UTC),
        charges=error.charges,
        trouble=trouble,
    )


async def _another_can(connection: Connection, trouble: AccountTrouble, channel_id: UUID) -> bool:
    """Could another account of the channel serve now; one of another Cloud project, where the
    refusal was about the project?"""
    rows, policy = Reservations(connection), await load_policy(connection)
    channel = await rows.get_channel(channel_id=channel_id)
    everyone = await rows.lock_accounts(account_ids=[*channel.account_ids, trouble.account_id])
    own = next((each for each in everyone if each.id == trouble.account_id), None)
    whole_project = CONSEQUENCES[trouble.effect].whole_project
    others = [
        each
        for each in everyone
        if each.id != trouble.account_id
        and not (whole_project and own is not None and each.project == own.project)
    ]
    moment = await moment_of(connection, None)
    projects = {each.project for each in others if each.project is not None}
    buckets = await lock_buckets(connection, policy, projects, moment)
    return any(
        not obstacles(
            each,
            Need(1, policy.units(CORE) if each.project is not None else {}),
            buckets,
            moment,
        )
        for each in others
    )


async def write_trouble(
    connection: Connection, error: StageError, *, execution_id: UUID, video_id: UUID
) -> None:
    """Write what an error means for its account, in the transaction that settles the step.

    The account is given back when nothing was sent with it, so that the next claim reserves anew.
    """
    trouble = error.trouble
    await _write_channel(connection, error, execution_id)
    if trouble is None:
        return
    await afflict(connection, trouble, str(error))
    if not trouble.rotate:
        return
    uploads = Uploads(connection)
    live = await uploads.find_live(video_id=video_id)
    if live is None or (live.untouched and await uploads.abandon(upload_id=live.id)):
        await release(connection, execution_id, reason=TROUBLE)


async def _write_channel(connection: Connection, error: StageError, execution_id: UUID) -> None:
    """What an error says about the channel, apart from the account: it may upload no more today, it
    was closed, or YouTube rejected its video."""
    points, step = 0, None
    if error.trouble is not None:
        points = CHANNEL_POINTS.get(error.trouble.effect, 0)
    elif isinstance(error, Rejected):
        points, step = CHANNEL_REJECTED, StageName.ANALYTICS_PULL.value
    if points:
        await Channels(connection).move_health(
            execution_id=execution_id, points=points, error=str(error), step=step
        )


async def afflict(
    connection: Connection, trouble: AccountTrouble, message: str, *, at: datetime | None = None
) -> None:
    """Change state and health of the account, with an event; tell the operator if he must act.
    `at` replays a moment."""
    accounts, means = Accounts(connection), CONSEQUENCES[trouble.effect]
    for standing in await accounts.lock_standing(
        account_id=trouble.account_id, whole_project=means.whole_project, at=at
    ):
        own = standing.id == trouble.account_id
        await _change(accounts, standing, trouble, means, own=own)
        if own and means.notify:
            await accounts.notify(
                account_id=standing.id,
                reason=trouble.reason,
                title=f"YouTube account {standing.email}: {trouble.effect.value.replace('_', ' ')}",
                message=message,
            )


async def _change(
    accounts: Accounts,
    standing: Standing,
    trouble: AccountTrouble,
    means: Consequence,
    *,
    own: bool,
) -> None:
    state, until = means.state, trouble.until
    if trouble.effect is AccountEffect.HICCUP and standing.consecutive_errors + 1 >= (
        ERRORS_IN_A_ROW
    ):
        state, until = "cooling", standing.now + ROW_REST
    if state is None or _WEIGHT[state] < _WEIGHT[standing.state]:
        state = standing.state
    rests = [each for each in (standing.cooldown_until, until) if each is not None]
    before = _health(standing)
    after = after_loss(before, means.health_loss)
    await accounts.set_standing(
        account_id=standing.id,
        state=state,
        cooldown_until=max(rests, default=None),
        health=after,
        now=standing.now,
        errors=int(own),
    )
    await accounts.record_change(
        account_id=standing.id,
        event=trouble.effect.value,
        reason=trouble.reason,
        before=before,
        after=after,
        at=standing.now,
    )


async def spend(
    connection: Connection, *, execution_id: UUID, account_id: UUID, at: datetime | None = None
) -> None:
    """Settle the run's reservation: its video is published. The account gains health; a repeat
    does nothing. `at` replays a moment."""
    rows, accounts = Reservations(connection), Accounts(connection)
    (standing,) = await accounts.lock_standing(account_id=account_id, whole_project=False, at=at)
    ended = False
    for over in await rows.list_over(execution_id=execution_id):
        ended |= (
            await end_reservation(connection, over, status="spent", reason="published") is not None
        )
    if not ended:
        return
    await rows.count_upload(account_id=account_id, now=standing.now)
    await Channels(connection).move_health(execution_id=execution_id, points=CHANNEL_PUBLISHED)
    before = _health(standing)
    after = after_gain(before)
    if after == before:
        return
    await accounts.set_standing(
        account_id=account_id,
        state=standing.state,
        cooldown_until=standing.cooldown_until,
        health=after,
        now=standing.now,
        errors=0,
    )
    await accounts.record_change(
        account_id=account_id,
        event="published",
        reason=f"a video went out: up to {GAIN_PUBLISHED:g} points",
        before=before,
        after=after,
        at=standing.now,
    )


def _health(standing: Standing) -> float:
    return health_at(float(standing.health_score), standing.health_changed_at, standing.now)


async def switch(
    connection: Connection,
    account_id: UUID,
    *,
    is_active: bool,
    reason: str,
    at: datetime | None = None,
) -> None:
    """Pause or resume an account by hand. Resuming lifts what a person had to see to, and gives it
    at least the health with which it serves. `at` replays a moment."""
    accounts = Accounts(connection)
    (standing,) = await accounts.lock_standing(account_id=account_id, whole_project=False, at=at)
    await accounts.set_active(account_id=account_id, is_active=is_active)
    before = _health(standing)
    after = max(before, RESUMED) if is_active else before
    if after != before:
        lifted = "ready" if _WEIGHT[standing.state] > _WEIGHT["cooling"] else standing.state
        await accounts.set_standing(
            account_id=account_id,
            state=lifted,
            cooldown_until=standing.cooldown_until,
            health=after,
            now=standing.now,
            errors=0,
        )
    await accounts.record_change(
        account_id=account_id,
        event="resumed" if is_active else "paused",
        reason=reason or "by the operator",
        before=before,
        after=after,
        at=standing.now,
    )
