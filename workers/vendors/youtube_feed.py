"""The account that YouTube's chart is read with."""

from db.pool import Pool, transaction
from db.repositories.accounts import Accounts
from pipeline.errors import Waiting
from pipeline.providers.youtube_calls import YouTubeCalls
from workers.accounts.youtube import youtube_hosts
from workers.settings import Settings


async def reading_calls(settings: Settings, pool: Pool | None) -> YouTubeCalls:
    """YouTube through the healthiest account that can serve now; raises `Waiting` without one.

    The pool is None only where feeds are checked before the database is open: nothing is read then.
    """
    if pool is None:
        raise RuntimeError("a feed is read before the database is open")
    async with transaction(pool) as connection:
        account = await Accounts(connection).find_reader()
    if account is None:
        raise Waiting(
            "youtube: there is no YouTube account that can serve now; see `ytempire account list`,"
            " or add one with `ytempire account authorize`"
        )
    return youtube_hosts(settings, pool)(account, account.email).calls
