"""`ytempire account list|show|quota`: what there is to see of accounts and their quota."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from db.pool import Connection, transaction
from db.repositories.accounts import AccountRow, Accounts, EventRow
from db.repositories.quota import Quota, QuotaRow
from workers.accounts.quota_charges import load_policy
from workers.accounts.quota_policy import QuotaPolicy
from workers.accounts.words import (
    STEADY,
    action_for,
    error_words,
    health_of,
    moment,
    span,
    state_of,
    state_words,
    trend_of,
)
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    run_async,
    short,
)
from workers.cli.session import session

BAR_CELLS = 10
EVENTS = 20
COLUMNS = (
    "ID",
    "EMAIL",
    "CHANNELS",
    "STATE",
    "HEALTH",
    "UPLOADS",
    "UNITS",
    "RESETS IN",
    "LAST ERROR",
)

app = typer.Typer()


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the accounts: state, health and its trend of a day, what the Pacific day has left."""

    async def command() -> list[AccountRow]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Accounts(connection).list()

    rows = run_async(command)
    if json:
        print_json(as_items(shown(row) for row in rows))
        return
    print_table(
        (
            "ID",
            "EMAIL",
            "CHANNELS",
            "STATE",
            "HEALTH",
            "UPLOADS",
            "UNITS",
            "RESETS IN",
            "LAST ERROR",
        ),
        (
            (
                short(row.id),
                row.email + (" (reserve)" if row.is_reserve else ""),
                ", ".join(row.channels),
                state_words(row),
                _health(row),
                _uploads(row),
                _units(row),
                "" if row.provider == "local" else span(row.resets_at - row.now),
                error_words(row),
            )
            for row in rows
        ),
        empty="no accounts yet: ytempire account authorize",
    )
    for row in rows:
        if (action := action_for(row)) is not None:
            typer.echo(f"{row.email} needs you: {action}")


@app.command()
def show(
    account: Annotated[str, typer.Argument(help="Email, or the start of an id.")],
    json: JsonFlag = False,
) -> None:
    """Show one account and why its standing changed; no secret of it."""

    async def command() -> tuple[AccountRow, Sequence[EventRow]]:
        async with session() as opened, transaction(opened.pool) as connection:
            row = await require(Accounts(connection), account)
            return row, await Accounts(connection).list_events(account_id=row.id, most=EVENTS)

    row, events = run_async(command)
    fields = shown(row)
    if json:
        print_json({**fields, "events": [_event(event) for event in events]})
        return
    plain = {name: value for name, value in fields.items() if name != "last_error"}
    plain |= {"state": state_words(row), "health": _health(row), "last_error": error_words(row)}
    print_table(
        ("FIELD", "VALUE"),
        ((name, _joined(value)) for name, value in plain.items() if value not in (None, [])),
        empty="",
    )
    typer.echo()
    print_table(
        ("WHEN", "EVENT", "HEALTH", "WHY"),
        (
            (
                event.created_at,
                event.event,
                _change(event),
                event.reason,
            )
            for event in events
        ),
        empty="no events yet",
    )


@app.command()
def quota(
    project: Annotated[str | None, typer.Option(help="Only this Cloud project.")] = None,
    set_limit: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="BUCKET=UNITS", help="What Google granted the project a day."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Kept with the changed limit, in the log.")] = "",
    json: JsonFlag = False,
) -> None:
    """Show what the Cloud projects have used of their quota of the Pacific day.

    With --set: note what Google grants the project, from today on.
    """
    bucket, limit = _parse_limit(set_limit) if set_limit is not None else (None, 0)
    if bucket is not None and project is None:
        raise CommandError("--set needs --project: each has limits of its own", ExitCode.USAGE)

    async def command() -> tuple[list[QuotaRow], QuotaPolicy, list[AccountRow]]:
        async with session() as opened, transaction(opened.pool) as connection:
            if bucket is not None and project is not None:
                await _set_limit(connection, project, bucket, limit)
            rows = await Quota(connection).list(project=project)
            return rows, await load_policy(connection), await Accounts(connection).list()

    rows, policy, accounts = run_async(command)
    items = list(_buckets(rows, policy, accounts))
    if project is not None and not items:
        raise CommandError(f"no account belongs to a project {project!r}", ExitCode.NOT_FOUND)
    if json:
        print_json(as_items(items))
        return
    print_table(
        ("PROJECT", "BUCKET", "USED", "LIMIT", "", "ACCOUNTS"),
        (
            (
                item["project"],
                item["bucket"],
                item["used"],
                item["limit"],
                bar(item["used"], item["limit"]),
                ", ".join(item["accounts"]),
            )
            for item in items
        ),
        empty="no YouTube account yet: ytempire account authorize",
    )
    if rows:
        typer.echo(f"resets at {moment(rows[0].resets_at)}; limits and costs as of {policy.as_of}")


def _parse_limit(text: str) -> tuple[str, int]:
    bucket, _, units = text.partition("=")
    if not bucket.strip() or not units.strip().isdigit() or len(units) > 9:
        raise CommandError(f"{text!r} is not BUCKET=UNITS", ExitCode.USAGE)
    return bucket.strip(), int(units)


async def _set_limit(connection: Connection, project: str, bucket: str, limit: int) -> None:
    policy = await load_policy(connection)
    if bucket not in policy.limits:
        known = ", ".join(sorted(policy.limits))
        raise CommandError(f"there is no bucket {bucket!r}, only {known}", ExitCode.USAGE)
    changed = policy.model_dump(mode="json")
    changed["projects"].setdefault(project, {})[bucket] = limit
    stored = Quota(connection)
    await stored.set_policy(value=changed)
    await stored.set_limit(project=project, bucket=bucket, quota_limit=limit)


def _buckets(
    rows: Sequence[QuotaRow], policy: QuotaPolicy, accounts: Sequence[AccountRow]
) -> "list[dict[str, Any]]":
    """Every bucket of every project, used or not."""
    used = {(row.project, row.bucket): row for row in rows}
    items = []
    for project in dict.fromkeys(row.project for row in rows):
        emails = [
            account.email
            for account in accounts
            if (account.quota_project_id or str(account.id)) == project
            and account.provider == "youtube"
        ]
        first = next(row for row in rows if row.project == project)
        names = {*policy.limits, *(row.bucket for row in rows if row.project == project)}
        for bucket in sorted(name for name in names if name is not None):
            row = used.get((project, bucket))
            known = row is not None and row.quota_limit is not None
            limit = row.quota_limit if row is not None and known else policy.limit(project, bucket)
            items.append(
                {
                    "project": project,
                    "bucket": bucket,
                    "used": row.used if row is not None and row.used is not None else 0,
                    "limit": limit,
                    "date": str(first.quota_date),
                    "resets_at": first.resets_at,
                    "accounts": emails,
                }
            )
    return items


async def require(accounts: Accounts, named: str) -> AccountRow:
    """The account of an email or the start of an id. Raises `CommandError`."""
    found = await accounts.list(only=named.strip().replace("%", "").replace("_", "\\_"))
    exact = [row for row in found if row.email.lower() == named.strip().lower()]
    found = exact or found
    if not found:
        raise CommandError(f"there is no account {named!r}", ExitCode.NOT_FOUND)
    if len(found) > 1:
        raise CommandError(f"{named!r} is more than one account; give its id", ExitCode.USAGE)
    return found[0]


def shown(row: AccountRow) -> dict[str, Any]:
    """The account as JSON shows it."""
    error = None
    if row.error_event is not None:
        error = {
            "event": row.error_event,
            "reason": row.error_reason,
            "at": row.error_at,
            "words": error_words(row),
        }
    return {
        "id": row.id,
        "email": row.email,
        "name": row.account_name,
        "provider": row.provider,
        "youtube_channel_id": row.channel_id,
        "handle": row.channel_handle,
        "channels": list(row.channels),
        "project": row.quota_project_id,
        "state": state_of(row),
        "action": action_for(row),
        "is_reserve": row.is_reserve,
        "health_score": health_of(row),
        "health_trend": trend_of(row),
        "uploads_today": row.uploads_today,
        "upload_limit": row.upload_limit,
        "quota_used_today": row.quota_used_today,
        "quota_limit": row.quota_limit,
        "resets_at": row.resets_at,
        "cooldown_until": row.cooldown_until,
        "token_expires_at": row.token_expires_at,
        "grant_expires_at": row.grant_expires_at,
        "last_upload_at": row.last_upload_at,
        "total_uploads": row.total_uploads,
        "last_error": error,
        "scopes": list(row.granted_scopes),
        "created_at": row.created_at,
    }


def bar(used: int, limit: int) -> str:
    """How full a limit is; anything used shows, and only what is full is full."""
    if limit <= 0:
        return f"{'█' * BAR_CELLS} full"
    part = min(used / limit, 1.0)
    cells = min(int(part * BAR_CELLS), BAR_CELLS - 1) if part < 1 else BAR_CELLS
    cells = max(cells, 1) if used > 0 else 0
    return f"{'█' * cells}{'░' * (BAR_CELLS - cells)} {part:.0%}"


def _health(row: AccountRow) -> str:
    trend = trend_of(row)
    arrow = "→" if abs(trend) < STEADY else "↑" if trend > 0 else "↓"
    return f"{health_of(row):.0f} {arrow}"


def _uploads(row: AccountRow) -> str:
    if row.provider == "local":
        return str(row.uploads_today)
    return f"{row.uploads_today}/{row.upload_limit}"


def _units(row: AccountRow) -> str:
    return "" if row.provider == "local" else bar(row.quota_used_today, row.quota_limit)


def _joined(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _change(event: EventRow) -> str:
    before, after = event.health_before, event.health_after
    if before is None or after is None or before == after:
        return "" if after is None else f"{after:.0f}"
    return f"{before:.0f} → {after:.0f}"


def _event(event: EventRow) -> Mapping[str, Any]:
    return {
        "event": event.event,
        "reason": event.reason,
        "health_before": event.health_before,
        "health_after": event.health_after,
        "at": event.created_at,
    }
