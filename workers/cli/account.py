"""`ytempire account`: who may upload. Secrets come from a 0600 file or stdin, and never go out."""

import stat
import sys
from pathlib import Path
from typing import Annotated

import typer

from db.pool import transaction
from db.repositories.accounts import AccountRow, Accounts
from workers.accounts.trouble import switch
from workers.accounts.words import state_of
from workers.cli.account_views import require, shown
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    print_json,
    run_async,
    short,
    stderr,
)
from workers.cli.session import session
from workers.runs.starting import wake_runs
from workers.secrets import secret_keys

MAX_FILE_BYTES = 64 * 1024

app = typer.Typer(help="Accounts: who uploads for a channel.", no_args_is_help=True)


@app.command()
def add(
    email: Annotated[str, typer.Option(help="The account's address, as you know it.")],
    credentials_file: Annotated[
        str, typer.Option(help="An authorized_user file, mode 0600; - reads it from stdin.")
    ],
    channel: Annotated[
        str | None, typer.Option(help="The channel it uploads for; else the one it belongs to.")
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Its Cloud project; else told from the OAuth client.")
    ] = None,
    reserve: Annotated[
        bool | None,
        typer.Option("--reserve/--primary", help="Serve only when no other account can."),
    ] = None,
    upload_limit: Annotated[int | None, typer.Option(min=0, help="Uploads a Pacific day.")] = None,
    quota_limit: Annotated[int | None, typer.Option(min=0, help="Quota units a day.")] = None,
    json: JsonFlag = False,
) -> None:
    """Add a YouTube account, or authorise a known one anew."""
    # Google's SDK is loaded by the command that needs it, not by every one.
    from workers.accounts.adding import NewAccount, WrongChannel, add_account, parse_credentials

    new = NewAccount(
        email=checked_email(email),
        credential=parse_credentials(read_secret(credentials_file)),
        channel=channel,
        project=project,
        is_reserve=reserve,
        upload_limit=upload_limit,
        quota_limit=quota_limit,
    )

    async def command() -> AccountRow:
        async with session() as opened:
            keys = secret_keys(opened.settings)
            try:
                return await add_account(opened.settings, opened.pool, keys, new)
            except WrongChannel as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error

    row = run_async(command)
    if json:
        print_json(shown(row))
        return
    typer.echo(told(row))


def told(row: AccountRow) -> str:
    """What became of an account that was added."""
    serves = ", ".join(row.channels) or "no channel of ours yet"
    return (
        f"account {row.email} ({short(row.id)}) is {state_of(row)}: YouTube channel"
        f" {row.channel_id}, serves {serves}"
    )


def checked_email(email: str) -> str:
    """The address without space around it. Raises `CommandError` for what is none."""
    address = email.strip()
    if "@" not in address or not address.isprintable() or len(address) > 255:
        raise CommandError(f"{email!r} is no email address", ExitCode.USAGE)
    return address


def read_secret(name: str) -> str:
    """The text of a file that only its owner may read; - is stdin. Raises `CommandError`."""
    if name == "-":
        text = sys.stdin.read(MAX_FILE_BYTES + 1)
    else:
        file = Path(name)
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                raise CommandError(
                    f"{file} is open to others (mode {mode:04o}): chmod 600 {file}", ExitCode.USAGE
                )
            with file.open(encoding="utf-8") as stream:
                text = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise CommandError(
                f"cannot read {file}: {error.strerror}", ExitCode.NOT_FOUND
            ) from error
        except UnicodeDecodeError:
            raise CommandError(f"{file} is not a text in UTF-8", ExitCode.USAGE) from None
    if len(text) > MAX_FILE_BYTES:
        raise CommandError("that is too large for a credentials file", ExitCode.USAGE)
    return text


@app.command()
def pause(
    account: Annotated[str, typer.Argument(help="Email, or the start of an id.")],
    reason: Annotated[str, typer.Option(help="Kept with the account's events.")] = "",
    json: JsonFlag = False,
) -> None:
    """Give an account no new uploads; one under way goes on."""
    _switch(account, is_active=False, reason=reason, json=json)


@app.command()
def resume(
    account: Annotated[str, typer.Argument(help="Email, or the start of an id.")],
    reason: Annotated[str, typer.Option(help="Kept with the account's events.")] = "",
    json: JsonFlag = False,
) -> None:
    """Let an account serve again, and the runs go on that waited for it."""
    _switch(account, is_active=True, reason=reason, json=json)


def _switch(account: str, *, is_active: bool, reason: str, json: bool) -> None:
    async def command() -> tuple[AccountRow, int]:
        async with session() as opened, transaction(opened.pool) as connection:
            accounts = Accounts(connection)
            row = await require(accounts, account)
            await switch(connection, row.id, is_active=is_active, reason=reason)
            woken = await wake_runs(connection, row.id) if is_active else 0
            return (await accounts.list(only=str(row.id)))[0], woken

    row, woken = run_async(command)
    if woken:
        stderr().print(f"{woken} waiting run(s) go on", markup=False)
    if json:
        print_json(shown(row))
    else:
        typer.echo(f"account {row.email} is {state_of(row)}")
