"""Which account uploads: reserved in one short transaction, kept until the run has used it."""

from uuid import UUID

from db.pool import Pool, transaction
from db.repositories.accounts import Account, Accounts
from db.repositories.uploads import Uploads
from pipeline.errors import Deferred, Rejected


async def reserve_account(
    pool: Pool, *, execution_id: UUID, channel_id: UUID, video_id: UUID
) -> Account:
    """The account for this run's upload; a repeat gets the same one.

    An attempt that is not resolved stays with the account it began with: another account would
    not find it and publish a second time.

    Raises `Deferred` until the next Pacific day when every account is at its limit, `Rejected`
    when no account may upload for the channel.
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
        if not await accounts.count_allowed(channel_id=channel_id):
            raise Rejected(
                "no account may upload for this channel: add one with ytempire account add"
            )
        raise Deferred(
            "every account of this channel is at its limit for today",
            until=await accounts.next_day(),
        )
