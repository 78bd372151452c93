"""`ytempire key`: who may speak to the HTTP service."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from db.pool import Connection, transaction
from db.repositories.api_keys import ApiKeyRow, ApiKeys
from db.repositories.queues import Queues
from workers.cli.durations import parse_duration, parse_moment
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    run_async,
    stdout,
)
from workers.cli.session import session
from workers.keys import DEFAULT_RATE_LIMIT, SCOPES, KeyNameTaken, NewKey, create_key, rotate_key
from workers.secrets import secret_keys

app = typer.Typer(help="API keys of the HTTP service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The key's name.")]


@app.command()
def create(
    name: Name,
    scope: Annotated[list[str], typer.Option(help=f"One of {', '.join(SCOPES)}; repeat it.")],
    rate_limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Requests an hour.")
    ] = DEFAULT_RATE_LIMIT,
    expires: Annotated[
        str | None, typer.Option(help="A duration such as 90d, or an ISO 8601 time.")
    ] = None,
    signing_secret: Annotated[
        bool, typer.Option("--signing-secret", help="Also for signed webhooks.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Make a key and show it, this once."""
    cleaned = name.strip()
    if not cleaned or len(cleaned) > 100 or not cleaned.isprintable():
        raise CommandError("a key's name has 1 to 100 printable characters", ExitCode.USAGE)
    unknown = [text for text in scope if text not in SCOPES]
    if unknown:
        raise CommandError(
            f"{unknown[0]!r} is no scope; give some of {', '.join(SCOPES)}", ExitCode.USAGE
        )

    async def command() -> NewKey:
        async with session() as opened, transaction(opened.pool) as connection:
            try:
                return await create_key(
                    connection,
                    secret_keys(opened.settings),
                    name=cleaned,
                    scopes=scope,
                    rate_limit=rate_limit,
                    expires_at=await _expiry(connection, expires) if expires else None,
                    with_signing_secret=signing_secret,
                )
            except KeyNameTaken as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error

    _show_once(run_async(command), json)


@app.command()
def rotate(name: Name, json: JsonFlag = False) -> None:
    """Give a key a new secret, shown this once; the old one ends at once."""

    async def command() -> NewKey:
        async with session() as opened, transaction(opened.pool) as connection:
            made = await rotate_key(connection, secret_keys(opened.settings), name=name)
            if made is None:
                raise CommandError(f"there is no key {name!r} in use", ExitCode.NOT_FOUND)
            return made

    _show_once(run_async(command), json)


@app.command()
def revoke(name: Name) -> None:
    """End a key at once, and for good."""

    async def command() -> bool:
        async with session() as opened, transaction(opened.pool) as connection:
            return await ApiKeys(connection).mark_revoked(name=name)

    if not run_async(command):
        raise CommandError(f"there is no key {name!r} in use", ExitCode.NOT_FOUND)
    typer.echo(f"revoked key {name!r}")


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the keys, without their secrets."""

    async def command() -> list[ApiKeyRow]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await ApiKeys(connection).list()

    rows = run_async(command)
    if json:
        print_json(as_items(_shown(row) for row in rows))
        return
    print_table(
        ("NAME", "PREFIX", "SCOPES", "PER HOUR", "SIGNS", "LAST USED", "EXPIRES", "STATUS"),
        (
            (
                row.name,
                row.key_prefix,
                " ".join(row.permissions),
                row.rate_limit,
                "yes" if row.signing_secrets else "",
                row.last_used_at,
                row.expires_at,
                _status(row),
            )
            for row in rows
        ),
        empty="no keys yet: ytempire key create NAME --scope runs:write",
    )


async def _expiry(connection: Connection, text: str) -> datetime:
    now = await Queues(connection).now()
    try:
        if text[:1].isdigit() and "-" not in text:
            return now + parse_duration(text)
        moment = parse_moment(text, now=now)
    except ValueError as error:
        raise CommandError(f"--expires: {error}", ExitCode.USAGE) from error
    if moment <= now:
        raise CommandError(
            f"--expires: {moment.astimezone(UTC):%Y-%m-%d %H:%M}Z is past", ExitCode.USAGE
        )
    return moment


def _show_once(made: NewKey, json: bool) -> None:
    if json:
        print_json(
            {
                "id": made.id,
                "key": made.key,
                "prefix": made.prefix,
                "signing_secret": made.signing_secret,
            }
        )
        return
    stdout().print(f"key: {made.key}", markup=False)
    if made.signing_secret:
        stdout().print(f"signing secret: {made.signing_secret}", markup=False)
    typer.echo("Keep it now: it is not shown again.", err=True)


def _status(row: ApiKeyRow) -> str:
    return "revoked" if row.revoked_at else "expired" if row.expired else "in use"


def _shown(row: ApiKeyRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.key_prefix,
        "scopes": list(row.permissions),
        "rate_limit": row.rate_limit,
        "signing": bool(row.signing_secrets),
        "status": _status(row),
        "last_used_at": row.last_used_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "created_at": row.created_at,
    }
