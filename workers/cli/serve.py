"""`ytempire serve`: the HTTP service."""

import asyncio
from typing import Annotated

import typer

from db.embedded import database_url
from db.pool import open_pool
from workers.cli.output import CommandError
from workers.cli.session import read_settings
from workers.logs import configure_logs
from workers.secrets import secret_keys

POOL_SIZE = 10


def serve(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
) -> None:
    """Serve webhooks, runs, jobs and review pages over HTTP, until SIGTERM or Ctrl-C."""
    # Here, so that the other commands start without the web framework.
    from workers.app import make_app
    from workers.keys import HourlyLimits
    from workers.queue.connector import JobQueueConnector
    from workers.runs.preview_links import PreviewLinks
    from workers.runtime import artifact_store
    from workers.web.announcing import Announcer
    from workers.web.context import Web
    from workers.web.server import serve_web

    settings = read_settings()
    configure_logs(settings.log_format)

    async def command(url: str) -> None:
        pool = await open_pool(url, max_size=POOL_SIZE, application_name="ytempire serve")
        try:
            tasks = make_app(JobQueueConnector(url, pool=pool)).tasks
            keys = secret_keys(settings)
            web = Web(
                pool=pool,
                sealing=keys,
                hourly=HourlyLimits(pool),
                links=PreviewLinks(keys),
                store=artifact_store(settings),
                announcer=Announcer(pool),
                callback_rules=settings.callback_rules,
                tasks={name: task.queue for name, task in tasks.items()},
            )
            await serve_web(
                web,
                host=host,
                port=port,
                announce=lambda address: typer.echo(f"listening on {address}"),
            )
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error}") from error
        finally:
            await pool.close()

    with database_url(settings) as url:
        asyncio.run(command(url))
