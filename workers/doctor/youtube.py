"""Checks of the YouTube accounts: state, token, channel and the day's headroom.

Each account is asked once whose channel it is, which costs one unit of its quota and no money.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import httpx

from db.pool import Pool, transaction
from db.repositories.accounts import AccountRow, Accounts
from db.repositories.quota import Quota
from pipeline.errors import StageError
from pipeline.providers.fetching import new_client
from workers.accounts.words import moment, span, state_of
from workers.doctor.clock import differing, served_at
from workers.doctor.finding import Examined, Finding, error, ok, warning
from workers.settings import Settings

DEFAULT_ROOT = "https://youtube.googleapis.com/"
_CHECK = "youtube"
NEAR_LIMIT = 0.8
GRANT_NOTICE = timedelta(days=3)
TOKEN_AGE = timedelta(days=1)


async def accounts(examined: Examined) -> Sequence[Finding]:
    """Every account that is to serve can, and has uploads left today."""
    settings = examined.settings
    chosen = settings.host_provider == "youtube" or "youtube" in settings.trend_sources
    if not chosen or examined.pool is None:
        return []
    async with transaction(examined.pool) as connection:
        rows = [row for row in await Accounts(connection).list() if row.provider == "youtube"]
    if not rows:
        return [error(_CHECK, "there is no YouTube account", "ytempire account authorize")]
    pool = examined.pool
    found = await asyncio.gather(
        *(_account(settings, pool, row) for row in rows),
        _projects(pool),
        _clock(settings),
    )
    return [finding for findings in found for finding in findings]


def _tokens(row: AccountRow) -> list[Finding]:
    """Grants that end soon, and tokens that nobody renewed."""
    anew = f"ytempire account authorize --email {row.email}"
    if row.grant_expires_at is not None and row.grant_expires_at - row.now < GRANT_NOTICE:
        left = row.grant_expires_at - row.now
        ends = f"ends in {span(left)}" if left > timedelta(0) else "has ended"
        told = f"the grant of {row.email} {ends}: publish the consent screen, and authorise it anew"
        return [warning(_CHECK, told, anew)]
    if row.token_expires_at is not None and row.now - row.token_expires_at > TOKEN_AGE:
        told = (
            f"the token of {row.email} was not renewed for {span(row.now - row.token_expires_at)}:"
            " is a worker running? Google ends a grant that nobody uses for 6 months"
        )
        return [warning(_CHECK, told, "ytempire worker")]
    return []


async def _clock(settings: Settings) -> list[Finding]:
    """What time it is at Google; its front page is no method of the API and costs nothing."""
    root = settings.google_api_root or DEFAULT_ROOT
    try:
        async with new_client() as client, client.stream("GET", root) as answer:
            headers = answer.headers
    except httpx.HTTPError as problem:
        return [error(_CHECK, f"{root} cannot be reached ({type(problem).__name__})")]
    return differing(_CHECK, "Google's", served_at(headers))


async def _projects(pool: Pool) -> list[Finding]:
    """What is left of today's quota of the accounts' Cloud projects, and channels that are split
    over several."""
    async with transaction(pool) as connection:
        rows = await Quota(connection).list()
        split = await Accounts(connection).list_split_channels()
    findings = []
    for row in rows:
        if row.bucket is None or row.used is None or row.quota_limit is None:
            continue  # nothing of it was used today
        left = max(row.quota_limit - row.used, 0)
        told = (
            f"project {row.project} has {left:,} of {row.quota_limit:,} units of {row.bucket} left"
            f" until {row.resets_at:%Y-%m-%d %H:%M}Z"
        )
        near = row.used > 0 and row.used >= NEAR_LIMIT * row.quota_limit
        command = f"ytempire account quota --project {row.project}"
        findings.append(warning(_CHECK, told, command) if near or not left else ok(_CHECK, told))
    findings += [
        warning(
            _CHECK,
            f"channel {channel!r} has accounts of {len(projects)} Cloud projects: Google forbids to"
            " split one client over projects for more quota (docs/how-to/youtube-accounts.md)",
        )
        for channel, projects in split
    ]
    return findings


async def _account(settings: Settings, pool: Pool, row: AccountRow) -> list[Finding]:
    if not row.is_active:
        return [warning(_CHECK, f"{row.email} is paused", f"ytempire account resume {row.email}")]
    if row.state == "needs_reauth":
        told = f"{row.email} must be authorised anew"
        return [error(_CHECK, told, f"ytempire account authorize --email {row.email}")]
    if row.state not in ("ready", "cooling"):
        told = f"{row.email} is {row.state}: see to it at YouTube"
        return [error(_CHECK, told, f"ytempire account resume {row.email}")]
    findings = [*_tokens(row), await _asked(settings, pool, row)]
    if state_of(row) == "cooling" and row.cooldown_until is not None:
        findings.append(
            warning(_CHECK, f"{row.email} is cooling until {moment(row.cooldown_until)}")
        )
    if row.uploads_today >= row.upload_limit:
        findings.append(
            warning(_CHECK, f"{row.email} has used its {row.upload_limit} uploads of today")
        )
    return findings


async def _asked(settings: Settings, pool: Pool, row: AccountRow) -> Finding:
    # Google's SDK is loaded where it is used.
    from workers.accounts.youtube import youtube_hosts

    try:
        async with transaction(pool) as connection:
            account = await Accounts(connection).get(account_id=row.id)
        owner = await youtube_hosts(settings, pool)(account, row.account_name or "").owner()
    except StageError as problem:
        return error(_CHECK, f"{row.email}: {problem}")
    if owner != row.channel_id:
        return error(
            _CHECK,
            f"{row.email} belongs to the channel {owner} by now, not to {row.channel_id}",
            f"ytempire account pause {row.email}",
        )
    left = max(row.upload_limit - row.uploads_today, 0)
    return ok(_CHECK, f"{row.email} uploads to {owner}; {left} uploads left today")
