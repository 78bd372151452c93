"""Renewing tokens ahead of their end, so that no upload waits for Google or meets a dead grant."""

from datetime import timedelta

import structlog

from db.pool import Pool, acquired, transaction
from db.repositories.accounts import Accounts
from pipeline.errors import StageError
from workers.accounts.trouble import afflict
from workers.secrets import SecretKeys
from workers.settings import Settings

log = structlog.get_logger()

AHEAD = timedelta(minutes=10)


async def renew_tokens(settings: Settings, pool: Pool, keys: SecretKeys) -> int:
    """Renew the tokens that end within `AHEAD`; how many were.

    A dead grant benches its account and tells the operator; whatever else goes wrong is logged, and
    the next round tries again. Two rounds at once, on whatever hosts, renew each token once.
    """
    # Google's SDK is loaded where it is used.
    from workers.accounts.youtube import StoredTokens, token_uri

    async with acquired(pool) as connection:
        due = await Accounts(connection).list_token_due(ahead_seconds=AHEAD.total_seconds())
    renewed = 0
    for account_id in due:
        tokens = StoredTokens(pool, keys, account_id, token_uri(settings), early=AHEAD)
        try:
            await tokens.token()
        except StageError as error:
            log.warning("accounts.token_not_renewed", account=str(account_id), error=str(error))
            if error.trouble is not None:
                async with transaction(pool) as connection:
                    await afflict(connection, error.trouble, str(error))
        else:
            renewed += 1
    return renewed
