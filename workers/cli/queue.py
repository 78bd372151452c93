"""`ytempire queue`: the queues as a whole."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from db.pool import Pool, acquired
from db.repositories.queues import Queues, QueueStatus
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
)
from workers.cli.queue_session import brief, note_of, person, run

app = typer.Typer(help="Status, pause and resume.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE")]


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between, with --watch.")] = 2.0,
    as_json: JsonFlag = False,
) -> None:
    """Show each queue: how deep, how old, how fast, and whether it is paused."""
    console = Console()
    while True:
        queues = run(_read)
        if watch and console.is_terminal and not as_json:
            console.clear()
        if as_json:
            print_json(as_items(queues))
        else:
            _print(queues)
        if not watch:
            return
        time.sleep(every)


@app.command()
def pause(
    queue: Name,
    reason: Annotated[str | None, typer.Option(help="Why; shown by status.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take up no more jobs of a queue; running ones go on. A repeat keeps it paused."""

    async def operation(pool: Pool) -> None:
        async with acquired(pool) as connection:
            await Queues(connection).pause(queue, by=person()[:100], reason=reason)

    run(operation)
    if as_json:
        print_json({"queue": queue, "paused": True})
    else:
        typer.echo(note_of(f"{queue} paused", reason))


@app.command()
def resume(
    queue: Name,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the queue.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take up the jobs of a paused queue again, at once."""
    note = note_of("resumed", reason)

    async def operation(pool: Pool) -> bool:
        async with acquired(pool) as connection:
            return await Queues(connection).resume(queue, note=note)

    if not run(operation):
        raise CommandError(f"queue {queue} is not paused", ExitCode.CONFLICT)
    if as_json:
        print_json({"queue": queue, "paused": False})
    else:
        typer.echo(f"{queue} {note}")


async def _read(pool: Pool) -> list[QueueStatus]:
    async with acquired(pool) as connection:
        return await Queues(connection).status()


def _print(queues: list[QueueStatus]) -> None:
    print_table(
        ["queue", "ready", "scheduled", "blocked", "running", "oldest", "done/min", "paused"],
        (
            (
                q.queue,
                q.ready,
                q.scheduled,
                q.blocked,
                q.processing,
                None if q.oldest_seconds is None else brief(q.oldest_seconds),
                f"{q.completed_per_minute:.1f}",
                None
                if q.paused_at is None
                else f"since {q.paused_at:%Y-%m-%d %H:%M} by {q.paused_by}: {q.reason or '-'}",
            )
            for q in queues
        ),
        empty="no queue has jobs, had any in the last five minutes, or is paused",
    )
