"""Which account uploads: reserved in one short transaction, kept until the run has used it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Account, Accounts
from db.repositories.uploads import Uploads
from pipeline.errors import Deferred, Rejected, StageError, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble


async def reserve_account(
    pool: Pool, *, execution_id: UUID, channel_id: UUID, video_id: UUID
) -> Account:
    """The account for this run's upload; a repeat gets the same one.

    An attempt that is not resolved stays with the account it began with: another account would
    not find it and publish a second time.

    Raises `Deferred` until the first account may serve again by itself (its cooling is over, the
    Pacific day), `Waiting` when a person must see to an account first, `Rejected` when no account
    may upload for the channel.
    """
    async with transaction(pool) as connection:
        accounts = Accounts(connection)
        live = await Uploads(connection).find_live(video_id=video_id)
        if live is not None and live.youtube_account_id is not None:
            return await accounts.get(account_id=live.youtube_account_id)
        held = await accounts.find_held(execution_id=execution_id)
        if held is not None:
            return held
        # Two passes: an account picked by the order of a moment ago may have been filled while
        # this transaction waited for its row.
        while (account := await accounts.lock_eligible(channel_id=channel_id)) is not None:
            if await accounts.charge(account_id=account.id):
                await accounts.hold(execution_id=execution_id, account_id=account.id)
                return account
        unusable = await accounts.list_unusable(channel_id=channel_id)
        if await accounts.count_allowed(channel_id=channel_id):
            raise Deferred(
                "every account of this channel is cooling or at its limit for today",
                until=await accounts.next_chance(channel_id=channel_id),
            )
        if unusable:
            named = ", ".join(f"{email} ({state})" for email, state in unusable)
            raise Waiting(
                f"no account of this channel can serve: {named}; authorise it anew with ytempire"
                " account add, or lift it with ytempire account resume"
            )
        raise Rejected("no account may upload for this channel: add one with ytempire account add")


@dataclass(frozen=True, slots=True)
class _Consequence:
    """What an effect does to the account: its new state (None: none), the health it costs, whether
    it is about all of its Cloud project, and whether the operator is told."""

    state: str | None
    health_loss: int
    whole_project: bool = False
    notify: bool = False


CONSEQUENCES: Mapping[AccountEffect, _Consequence] = {
    AccountEffect.COOL: _Consequence("cooling", 10),
    AccountEffect.BENCH: _Consequence("cooling", 0, whole_project=True),
    AccountEffect.REAUTHORISE: _Consequence("needs_reauth", 40, notify=True),
    AccountEffect.DISABLE: _Consequence("disabled", 100, notify=True),
    AccountEffect.SUSPEND: _Consequence("suspended", 100, notify=True),
    AccountEffect.DOUBT: _Consequence("cooling", 15),
    AccountEffect.CONFIGURE: _Consequence(None, 0, notify=True),
}


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
        accounts = Accounts(connection)
        live = await Uploads(connection).find_live(video_id=video_id)
        if live is not None and not live.untouched:
            return error
        # An ambiguous refusal may be about the video: it is tried with one other account.
        if trouble.effect is AccountEffect.DOUBT and await accounts.count_released(
            execution_id=execution_id
        ):
            return error
        if not await accounts.has_other(
            channel_id=channel_id,
            account_id=trouble.account_id,
            other_project=CONSEQUENCES[trouble.effect].whole_project,
        ):
            return error
    return Deferred(
        f"{error}; another account of the channel goes on",
        until=datetime.now(UTC),
        charges=error.charges,
        trouble=trouble,
    )


async def write_trouble(
    connection: Connection, error: StageError, *, execution_id: UUID, video_id: UUID
) -> None:
    """Write what an error means for its account, in the transaction that settles the step.

    The account is given back when nothing was sent with it, so that the next claim reserves anew.
    """
    trouble = error.trouble
    if trouble is None:
        return
    accounts, uploads = Accounts(connection), Uploads(connection)
    await afflict(accounts, trouble, str(error))
    if not trouble.rotate:
        return
    live = await uploads.find_live(video_id=video_id)
    if live is None or (live.untouched and await uploads.abandon(upload_id=live.id)):
        await accounts.release(execution_id=execution_id)


async def afflict(accounts: Accounts, trouble: AccountTrouble, message: str) -> None:
    """Change state and health of the account, with an event; tell the operator if he must act."""
    means = CONSEQUENCES[trouble.effect]
    await accounts.afflict(
        account_id=trouble.account_id,
        event=trouble.effect.value,
        reason=trouble.reason,
        state=means.state,
        until=trouble.until,
        health_loss=means.health_loss,
        whole_project=means.whole_project,
    )
    if means.notify:
        account = await accounts.get(account_id=trouble.account_id)
        await accounts.notify(
            account_id=trouble.account_id,
            reason=trouble.reason,
            title=f"YouTube account {account.email}: {trouble.effect.value.replace('_', ' ')}",
            message=message,
        )
