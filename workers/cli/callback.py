"""`ytempire callback`: what others were told, and what they could not be told."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from db.pool import Connection, transaction
from db.repositories.deliveries import Deliveries, DeliveryListed
from workers.callbacks.outbox import retry_delivery
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    parse_cursor,
    print_json,
    print_table,
    resolve_id,
    run_async,
    short,
    stderr,
    stdout,
)
from workers.cli.run import run_id
from workers.cli.session import session

app = typer.Typer(help="Callbacks: what receivers were told of runs.", no_args_is_help=True)

STATUSES = ("pending", "delivered", "dead", "skipped")


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help=f"One of {', '.join(STATUSES)}.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run's: its id, or its start.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the page before.")] = None,
    json: JsonFlag = False,
) -> None:
    """List callbacks, newest first. Addresses are shown without their query, which may hold a
    token."""
    if status is not None and status not in STATUSES:
        raise CommandError(
            f"{status!r} is no status; give one of {', '.join(STATUSES)}", ExitCode.USAGE
        )
    before, before_id = parse_cursor(cursor)

    async def command() -> Sequence[DeliveryListed]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Deliveries(connection).list(
                status=status,
                execution_id=await run_id(connection, run) if run else None,
                before=before,
                before_id=before_id,
                limit=limit + 1,
            )

    rows = run_async(command)
    page = rows[:limit]
    more = f"{page[-1].created_at.isoformat()}|{page[-1].id}" if len(rows) > limit else None
    if json:
        print_json(as_items((_shown(row) for row in page), more))
        return
    print_table(
        ("ID", "RUN", "EVENT", "TO", "STATUS", "TRIES", "ANSWER", "NEXT TRY", "CREATED", "ERROR"),
        (
            (
                short(row.id),
                short(row.execution_id),
                row.event,
                _receiver(row),
                row.status,
                row.attempts or "",
                row.last_status_code,
                row.next_attempt_at if row.status == "pending" else None,
                row.created_at,
                row.last_error,
            )
            for row in page
        ),
        empty="no callbacks yet: they are sent to a run's --callback-url",
    )
    if more:
        stdout().print(f"more: --cursor '{more}'")


@app.command()
def retry(
    callbacks: Annotated[
        list[str] | None, typer.Argument(help="Ids, or their starts.", show_default=False)
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    json: JsonFlag = False,
) -> None:
    """Send callbacks again at once, with their webhook-ids; one that waits need not wait longer."""
    if bool(callbacks) == dead:
        raise CommandError("give ids, or --dead for all that were given up", ExitCode.USAGE)

    async def command() -> tuple[list[UUID], list[UUID]]:
        async with session() as opened:
            async with transaction(opened.pool) as connection:
                wanted = (
                    await Deliveries(connection).list_dead_ids()
                    if dead
                    else [await _callback_id(connection, text) for text in callbacks or ()]
                )
            done: list[UUID] = []
            left: list[UUID] = []
            for id_ in wanted:
                async with transaction(opened.pool) as connection:
                    (done if await retry_delivery(connection, id_) else left).append(id_)
            return done, left

    done, left = run_async(command)
    if json:
        print_json({"retried": done, "left_alone": left})
    else:
        for id_ in done:
            stdout().print(f"callback {short(id_)} is sent again")
    for id_ in left:
        stderr().print(f"callback {short(id_)} was delivered, or is being sent now")
    if left:
        raise CommandError(
            f"{len(left)} of {len(done) + len(left)} were left alone", ExitCode.CONFLICT
        )


async def _callback_id(connection: Connection, prefix: str) -> UUID:
    deliveries = Deliveries(connection)
    return await resolve_id("callback", prefix, lambda text: deliveries.list_ids_like(prefix=text))


def _receiver(row: DeliveryListed) -> str:
    if row.callback_url is None:
        return row.recipient
    return f"{row.recipient} {row.callback_url.partition('?')[0]}"


def _shown(row: DeliveryListed) -> dict[str, object]:
    return {
        "id": row.id,
        "execution_id": row.execution_id,
        "event": row.event,
        "occurrence": row.occurrence,
        "recipient": row.recipient,
        "url": row.callback_url and row.callback_url.partition("?")[0],
        "status": row.status,
        "attempts": row.attempts,
        "last_status_code": row.last_status_code,
        "error": row.last_error,
        "created_at": row.created_at,
        "next_attempt_at": row.next_attempt_at if row.status == "pending" else None,
        "delivered_at": row.delivered_at,
    }
