"""`ytempire cost`: what was spent."""

from typing import Annotated

import typer

from db.pool import transaction
from db.repositories.costs import CostGroup, Costs
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    parse_time,
    print_json,
    print_table,
    run_async,
)
from workers.cli.session import session

app = typer.Typer(help="Costs: what was spent, on what.", no_args_is_help=True)

GROUPINGS = ("service", "channel", "video", "day")


@app.callback()
def costs() -> None:
    """Costs: what was spent, on what."""


@app.command()
def report(
    by: Annotated[str, typer.Option(help=f"One of {', '.join(GROUPINGS)}.")] = "service",
    since: Annotated[str | None, typer.Option(help="A date or time (UTC).")] = None,
    json: JsonFlag = False,
) -> None:
    """Sum the costs in US dollars, embedded providers (at 0) included."""
    if by not in GROUPINGS:
        raise CommandError(
            f"cannot group by {by!r}; give one of {', '.join(GROUPINGS)}", ExitCode.USAGE
        )
    begin = parse_time(since) if since else None

    async def command() -> list[CostGroup]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Costs(connection).report(by=by, since=begin)

    groups = run_async(command)
    if json:
        print_json(as_items(groups))
        return
    total = (
        sum((group.amount for group in groups), start=type(groups[0].amount)(0)) if groups else 0
    )
    rows: list[tuple[object, ...]] = [
        (group.key, group.title, group.videos, group.calls, f"{group.amount:.6f}")
        for group in groups
    ]
    if rows:
        rows.append(("total", None, None, None, f"{total:.6f}"))
    print_table(
        (by.upper(), "TITLE", "VIDEOS", "CALLS", "US DOLLARS"), rows, empty="nothing was booked yet"
    )
