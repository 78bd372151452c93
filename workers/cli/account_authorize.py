"""`ytempire account authorize`: a person grants access to a YouTube account in the browser."""

import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from db.repositories.accounts import AccountRow
from workers.cli.account import checked_email, read_secret, told
from workers.cli.account_views import shown
from workers.cli.output import CommandError, ExitCode, JsonFlag, print_json, run_async, stderr
from workers.cli.session import Session, session
from workers.secrets import secret_keys

if TYPE_CHECKING:
    from pipeline.providers.youtube_grant import Grant

app = typer.Typer()


@app.command()
def authorize(
    email: Annotated[str, typer.Option(help="The account's address, as you know it.")],
    channel: Annotated[
        str | None, typer.Option(help="The channel it uploads for; else the one it belongs to.")
    ] = None,
    client_file: Annotated[
        str | None,
        typer.Option(help="Google's file of the OAuth client; else YTEMPIRE_GOOGLE_CLIENT_FILE."),
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
    monetary: Annotated[
        bool, typer.Option("--monetary", help="Ask for revenue reports as well.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the browser comes back to; 0: a free one.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser of this machine.")
    ] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the answer.")] = 300,
    json: JsonFlag = False,
) -> None:
    """Grant access to a YouTube account in the browser, and store it; a known one anew.

    Over SSH: take --no-browser and a fixed --port, forward that port with ssh -L, and open the
    printed address on your own machine.
    """
    address = checked_email(email)

    async def command() -> AccountRow:
        async with session() as opened:
            # Google's SDK is loaded by the command that needs it, not by every one.
            from workers.accounts.adding import NewAccount, WrongChannel, add_account

            keys = secret_keys(opened.settings)
            grant = await _ask(
                opened,
                address,
                client_file,
                monetary=monetary,
                port=port,
                browser=browser,
                seconds=timeout,
            )
            new = NewAccount(
                email=address,
                credential=grant.credential,
                channel=channel,
                project=project,
                is_reserve=reserve,
                upload_limit=upload_limit,
                quota_limit=quota_limit,
                grant_expires_at=grant.expires_at,
            )
            try:
                return await add_account(opened.settings, opened.pool, keys, new)
            except WrongChannel as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error

    row = run_async(command)
    if json:
        print_json(shown(row))
        return
    typer.echo(told(row))


async def _ask(
    opened: Session,
    email: str,
    client_file: str | None,
    *,
    monetary: bool,
    port: int,
    browser: bool,
    seconds: float,
) -> "Grant":
    from pipeline.providers.youtube_grant import MONETARY, SCOPES, ask, redeem
    from workers.accounts.clients import parse_client
    from workers.accounts.loopback import open_loopback

    named = client_file or opened.settings.google_client_file
    if named is None:
        raise CommandError(
            "give the OAuth client's file: --client-file, or YTEMPIRE_GOOGLE_CLIENT_FILE (Google"
            " Cloud console, Credentials, an OAuth client of the type Desktop app)",
            ExitCode.USAGE,
        )
    client, token_uri = parse_client(read_secret(str(named)), opened.settings)
    scopes = (*SCOPES, MONETARY) if monetary else SCOPES
    try:
        async with open_loopback(port) as loopback:
            question = ask(client, loopback.redirect_uri, email=email, scopes=scopes)
            _invite(question.url, loopback.port, browser=browser)
            code = await loopback.answer(question.state, timeout_seconds=seconds)
    except OSError as error:
        raise CommandError(
            f"cannot listen on port {port}: {error.strerror}", ExitCode.CONFLICT
        ) from error
    return await redeem(client, question, code, token_uri=token_uri)


def _invite(url: str, port: int, *, browser: bool) -> None:
    console = stderr()
    console.print("Open this address in a browser, and choose the account and its channel:\n")
    console.print(url, markup=False, soft_wrap=True)
    console.print(
        f"\nThe browser comes back to port {port} of this machine; from elsewhere forward it first:"
        f"\n  ssh -L {port}:127.0.0.1:{port} <this machine>",
        markup=False,
    )
    sys.stderr.flush()
    if browser:
        webbrowser.open(url)
