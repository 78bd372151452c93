"""Jobs that keep the accounts: holds that nobody uses end, the day's counters roll over, tokens are
renewed before somebody needs them."""

import structlog
from procrastinate import Blueprint, JobContext

from db.pool import acquired
from db.repositories.quota import Quota
from workers.accounts.quota_charges import end_overdue
from workers.accounts.token_upkeep import renew_tokens
from workers.tasks.names import ACCOUNTS, QUOTA_DAY
from workers.tasks.stages import runtime_of

log = structlog.get_logger()

QUEUE = "maintenance"
KEEP_QUOTA_DAYS = 90


def add_accounts(app: Blueprint) -> None:
    """Register the tasks and their periods."""
    app.periodic(cron="* * * * *")(
        app.task(name=ACCOUNTS, queue=QUEUE, pass_context=True)(keep_accounts)
    )
    app.periodic(cron="1 * * * *")(
        app.task(name=QUOTA_DAY, queue=QUEUE, pass_context=True)(roll_over)
    )


async def keep_accounts(context: JobContext, /, timestamp: int) -> None:
    """Every minute: release what nobody used for an hour or whose run has ended; renew tokens that
    end soon."""
    runtime = runtime_of(context)
    released = await end_overdue(runtime.pool)
    if released:
        log.info("accounts.reservations_released", count=released)
    if runtime.settings.host_provider == "youtube":
        await renew_tokens(runtime.settings, runtime.pool, runtime.keys)


async def roll_over(context: JobContext, /, timestamp: int) -> None:
    """Every hour: counters of a Pacific day that is over go to 0 where no reservation did it, and
    what was used long ago is forgotten."""
    async with acquired(runtime_of(context).pool) as connection:
        quota = Quota(connection)
        rolled = await quota.roll_over()
        await quota.prune(keep_days=KEEP_QUOTA_DAYS)
    if rolled:
        log.info("accounts.day_rolled_over", accounts=rolled)
