"""`ytempire notification`: what the operator should know."""

from collections.abc import Sequence
from typing import Annotated

import typer

from db.pool import transaction
from db.repositories.notifications import Notification, Notifications
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
    stdout,
)
from workers.cli.session import session

app = typer.Typer(help="Notifications: what you should know of.", no_args_is_help=True)


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Those that were read as well.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the page before.")] = None,
    json: JsonFlag = False,
) -> None:
    """List what is unread, newest first."""
    before, before_id = parse_cursor(cursor)

    async def command() -> Sequence[Notification]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Notifications(connection).list(
                unread_only=not all_, before=before, before_id=before_id, limit=limit + 1
            )

    rows = run_async(command)
    page = rows[:limit]
    more = f"{page[-1].created_at.isoformat()}|{page[-1].id}" if len(rows) > limit else None
    if json:
        print_json(as_items(page, more))
        return
    print_table(
        ("ID", "TYPE", "CREATED", "READ", "TITLE", "MESSAGE"),
        (
            (short(row.id), row.type, row.created_at, row.read_at, row.title, row.message)
            for row in page
        ),
        empty="nothing is unread" if not all_ else "there are no notifications",
    )
    if more:
        stdout().print(f"more: --cursor '{more}'")


@app.command()
def ack(
    notifications: Annotated[
        list[str] | None, typer.Argument(help="Ids, or their starts.", show_default=False)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that is unread.")] = False,
) -> None:
    """Mark as read; the same cause then makes a new notification when it comes again."""
    if bool(notifications) == all_:
        raise CommandError("give ids, or --all", ExitCode.USAGE)

    async def command() -> int:
        async with session() as opened, transaction(opened.pool) as connection:
            rows = Notifications(connection)
            if all_:
                return await rows.mark_all_read()
            read = 0
            for prefix in notifications or ():
                id_ = await resolve_id(
                    "notification", prefix, lambda text: rows.list_ids_like(prefix=text)
                )
                read += await rows.mark_read(notification_id=id_)
            return read

    read = run_async(command)
    stdout().print(f"read: {read}")
