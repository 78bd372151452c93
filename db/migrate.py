"""Brings a database to the schema of this code, or back, with the revisions in `migrations`.

Every function takes any URL that libpq understands, a Unix socket included
(`postgresql://user@/db?host=/run/x`). All writers hold one advisory lock of the database: two
processes that migrate at once do it one after the other, and the second finds nothing to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from db.revisions import MigrationError, migrations_directory

MIGRATION_LOCK = 0x7974_6D69_6772
"""Key of the advisory lock: the bytes of "ytmigr", so that pg_locks explains itself."""

CONNECT_TIMEOUT_SECONDS = 10
LOCK_WAIT = "15min"
"""How long one migrator waits for another before it gives up."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands. `current` is None when nothing was ever applied."""

    current: str | None
    head: str
    pending: tuple[str, ...]


def upgrade(url: str) -> list[str]:
    """Apply what is pending, oldest first, and return it; a repeat returns an empty list."""
    return _run(url, lambda config: command.upgrade(config, "head"))


def downgrade(url: str, revision: str) -> list[str]:
    """Undo everything after `revision` ("base" for everything), newest first; return it.

    Data of the dropped tables is gone. Meant for development and for a release taken back.
    """
    return _run(url, lambda config: command.downgrade(config, revision))


def status(url: str) -> SchemaStatus:
    """Read where the database stands, without waiting for a migration that is running."""
    with _connect(url) as connection:
        return _status(connection, ScriptDirectory.from_config(_config()))


def _status(connection: Connection, scripts: ScriptDirectory) -> SchemaStatus:
    current = MigrationContext.configure(
        connection, opts={"version_table_schema": "public"}
    ).get_current_revision()
    head = scripts.get_current_head()
    if head is None:
        raise MigrationError("No migration is installed; the installation is incomplete")
    try:
        pending = [script.revision for script in scripts.iterate_revisions(head, current or "base")]
    except (CommandError, RevisionError) as error:
        raise MigrationError(
            f"The database is at revision {current}, which this version of ytempire (at {head}) "
            "does not know: it was migrated by a newer version. Install that version or a later one"
        ) from error
    return SchemaStatus(current=current, head=head, pending=tuple(reversed(pending)))


def _run(url: str, action: Any) -> list[str]:
    applied: list[str] = []

    def note(step: Any, **_: Any) -> None:
        applied.append(step.up_revision_id)

    config = _config()
    with _connect(url) as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_WAIT}'")
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        _status(connection, ScriptDirectory.from_config(config))  # refuses a newer database
        connection.commit()
        config.attributes.update(connection=connection, on_version_apply=note)
        try:
            action(config)
        except CommandError as error:
            raise MigrationError(f"Migration failed: {error}") from error
    return applied


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    """One connection of its own; closing it frees the advisory lock, whatever happened."""

    def open_connection() -> psycopg.Connection:
        return psycopg.connect(
            url,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="ytempire migrate",
        )

    engine = create_engine("postgresql+psycopg://", creator=open_connection, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise MigrationError(f"PostgreSQL refused: {str(error.orig).strip()}") from error
    finally:
        engine.dispose()
