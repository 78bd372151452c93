"""`ytempire db`: the database itself. What needs Alembic loads it when it is called."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from db import embedded
from db.embedded_binaries import PostgresNotFoundError
from db.embedded_folder import EmbeddedServerError
from db.revisions import MigrationError
from workers.settings import Settings, SettingsError

URL_LEASE_SECONDS = 600.0
"""How long the embedded server waits for whoever was given its URL."""

FAILED = 1
USAGE = 2

app = typer.Typer(help="Migrate, inspect, reach and stop the database.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the database to the schema of this version; a repeat changes nothing."""
    from db.migrate import upgrade

    settings = _settings()
    with _explained():
        if settings.database_url is not None:
            applied = upgrade(settings.database_url)
        else:
            with embedded.ensure_running(settings.data_dir) as server:
                applied = embedded.ensure_migrated(server, trust_note=False)
    if as_json:
        typer.echo(json.dumps({"applied": applied}))
    elif applied:
        typer.echo("\n".join(f"applied {revision}" for revision in applied))
    else:
        typer.echo("nothing to apply")


@app.command()
def status(as_json: Json = False) -> None:
    """Show where the database stands. The embedded one is started and migrated for it."""
    from db.migrate import status as schema_status

    settings = _settings()
    with _explained(), embedded.database_url(settings) as url:
        found = schema_status(url)
    kind = "embedded" if settings.database_url is None else "given"
    if as_json:
        document = {
            "database": kind,
            "current": found.current,
            "head": found.head,
            "pending": list(found.pending),
        }
        typer.echo(json.dumps(document))
        return
    typer.echo(f"database  {kind}")
    typer.echo(f"current   {found.current or 'empty'}")
    typer.echo(f"head      {found.head}")
    if found.pending:
        typer.echo(f"pending   {', '.join(found.pending)}  (ytempire db migrate applies them)")


@app.command()
def url(as_json: Json = False) -> None:
    """Print the URL for psql and others; the embedded server then stays up for ten minutes.

    It stays longer while a client is connected.
    """
    settings = _settings()
    with _explained(), embedded.database_url(settings) as found:
        if settings.database_url is None:
            embedded.extend_lease(settings.data_dir, URL_LEASE_SECONDS)
    typer.echo(json.dumps({"url": found}) if as_json else found)


@app.command()
def stop(as_json: Json = False) -> None:
    """Stop the embedded server cleanly, whoever is connected; the next command starts it."""
    settings = _settings()
    if settings.database_url is not None:
        _refuse("DATABASE_URL is set: that server is not ours to stop. Unset it first.", USAGE)
    with _explained():
        stopped = embedded.stop(settings.data_dir)
    if as_json:
        typer.echo(json.dumps({"stopped": stopped}))
    else:
        typer.echo("stopped" if stopped else "was not running")


def _settings() -> Settings:
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        _refuse(str(error), USAGE)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what can go wrong with a database into one line on stderr and exit code 1."""
    try:
        yield
    except (EmbeddedServerError, PostgresNotFoundError, MigrationError) as error:
        _refuse(str(error), FAILED)


def _refuse(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
