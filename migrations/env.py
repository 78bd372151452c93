"""Run by Alembic for every command; `db.migrate` is the caller and brings the connection.

One transaction a migration, so that a failed one leaves the earlier ones applied and itself
undone. Each waits at most LOCK_TIMEOUT for a lock that the running version holds, because
whoever queues behind a waiting ALTER TABLE waits as long as it does.
"""

from alembic import context
from sqlalchemy import Connection

LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "10min"


def run_migrations(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    connection.exec_driver_sql(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'")
    connection.exec_driver_sql("SET search_path = public")
    connection.commit()
    context.configure(
        connection=connection,
        transaction_per_migration=True,
        version_table_schema="public",
        on_version_apply=context.config.attributes.get("on_version_apply"),
    )
    with context.begin_transaction():
        context.run_migrations()


run_migrations(context.config.attributes["connection"])
