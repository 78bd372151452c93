"""The command line: arguments in, exit code out. Each noun is a module of its own."""

import sys

import typer

from db.embedded_binaries import PostgresNotFoundError
from db.embedded_folder import EmbeddedServerError
from db.errors import DatabaseError, Unavailable
from db.revisions import MigrationError
from pipeline.errors import StageError
from workers.channels import NotFound
from workers.cli import (
    account,
    account_authorize,
    account_keys,
    account_views,
    callback,
    channel,
    channel_change,
    cost,
    demo,
    doctor,
    enqueue,
    job,
    key,
    notification,
    queue,
    run,
    run_control,
    serve,
    trend,
    unknown,
    worker,
    workflow,
)
from workers.cli import db as database
from workers.cli.output import CommandError, ExitCode, stderr
from workers.settings import SettingsError

EXPECTED = (
    CommandError,
    SettingsError,
    StageError,
    DatabaseError,
    EmbeddedServerError,
    PostgresNotFoundError,
    MigrationError,
)

app = typer.Typer(
    name="ytempire",
    help="The production line behind a network of automated YouTube channels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(worker.worker)
app.command()(serve.serve)
app.command()(enqueue.enqueue)
app.command()(doctor.doctor)
run.app.command()(run_control.cancel)
run.app.command()(run_control.reject)
run.app.command()(run_control.retry)
account.app.add_typer(account_authorize.app)
account.app.add_typer(account_views.app)
account.app.add_typer(account_keys.app)
app.add_typer(run.app, name="run")
app.add_typer(job.app, name="job")
app.add_typer(queue.app, name="queue")
channel_change.add_changes(channel.app)
app.add_typer(channel.app, name="channel")
app.add_typer(account.app, name="account")
app.add_typer(trend.app, name="trend")
app.add_typer(cost.app, name="cost")
app.add_typer(unknown.app, name="unknown")
app.add_typer(workflow.app, name="workflow")
app.add_typer(key.app, name="key")
app.add_typer(callback.app, name="callback")
app.add_typer(notification.app, name="notification")
app.add_typer(database.app, name="db")


def main() -> None:
    """Run a command; every expected failure is one line on stderr and its exit code."""
    try:
        app()
    except EXPECTED as error:
        stderr().print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(_code(error))
    except BrokenPipeError:
        # The reader went away (`| head`): nothing is left to say, not even at exit.
        sys.stdout = None
        sys.exit(ExitCode.FAILED)


def _code(error: Exception) -> ExitCode:
    match error:
        case CommandError():
            return error.code
        case SettingsError():
            return ExitCode.USAGE
        case NotFound():
            return ExitCode.NOT_FOUND
        case Unavailable():
            return ExitCode.TRY_AGAIN
    return ExitCode.FAILED
