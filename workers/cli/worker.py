"""`ytempire worker`: a process that takes jobs."""

import asyncio
from typing import Annotated

import typer

from db.embedded import database_url
from pipeline.flow import QUEUES
from workers.cli.output import CommandError, ExitCode
from workers.cli.session import read_settings
from workers.logs import configure_logs


def worker(
    queues: Annotated[
        str | None, typer.Option(help=f"Comma-separated, of {', '.join(QUEUES)}; default: all.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=100, help="Jobs at the same time.")] = 2,
    name: Annotated[str, typer.Option(help="Shown with the jobs it takes.")] = "worker",
    until_idle: Annotated[
        bool,
        typer.Option("--until-idle", help="End when no job and no active run is left to do."),
    ] = False,
) -> None:
    """Take jobs and do them, until SIGTERM or Ctrl-C."""
    # Here, so that the other commands start without what draws and speaks.
    from workers.app import run_line_worker
    from workers.runtime import open_runtime

    names = [part.strip() for part in queues.split(",")] if queues is not None else None
    if names is not None and not all(names):
        raise CommandError("--queues takes names separated by commas", ExitCode.USAGE)
    settings = read_settings()
    configure_logs(settings.log_format)

    async def command(url: str) -> None:
        async with open_runtime(
            settings, url, name=f"ytempire {name}", pool_size=concurrency + 4
        ) as runtime:
            await run_line_worker(
                runtime,
                url,
                queues=names,
                concurrency=concurrency,
                name=name,
                until_idle=until_idle,
            )

    with database_url(settings) as url:
        asyncio.run(command(url))
