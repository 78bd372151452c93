"""`ytempire unknown`: paid calls that nobody knows the end of."""

from decimal import Decimal
from typing import Annotated

import typer

from db.pool import transaction
from db.repositories.calls import Calls, OpenCall
from workers.calls.unknown import CallSettled, Resolution, Resolved, resolve_call
from workers.cli.dollars import parse_dollars
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    resolve_id,
    run_async,
    short,
)
from workers.cli.queue_session import person
from workers.cli.session import session

app = typer.Typer(
    help="Paid calls that nobody knows the end of, for a person to find out.",
    no_args_is_help=True,
)


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the calls whose end nobody knows, oldest first."""

    async def command() -> list[OpenCall]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Calls(connection).list_open()

    rows = run_async(command)
    if json:
        print_json(as_items(rows))
        return
    print_table(
        ("ID", "SERVICE", "OPERATION", "STATUS", "AT MOST", "MADE", "ITS NAME THERE", "RUN", "IS"),
        (
            (
                short(row.id),
                row.service,
                row.operation,
                row.status if row.status == "unknown" else "not looked up yet",
                f"${row.amount_reserved:.6f}",
                row.created_at,
                row.provider_ref,
                short(row.execution_id),
                row.run_status,
            )
            for row in rows
        ),
        empty="every paid call has its outcome",
    )


@app.command()
def resolve(
    call: Annotated[str, typer.Argument(help="The call's id, or its start.")],
    reason: Annotated[str, typer.Option(help="How you found out; kept with the call.")],
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Nobody can find out: it may be made again.")
    ] = False,
    paid: Annotated[
        str | None, typer.Option(help="It was charged, so many US dollars: they are booked.")
    ] = None,
    not_paid: Annotated[bool, typer.Option("--not-paid", help="It was not charged.")] = False,
    json: JsonFlag = False,
) -> None:
    """Say what became of a call. A run that waits for it goes on, and asks the vendor anew."""
    resolution = _resolution(repeat, paid, not_paid)
    amount = None if paid is None else _amount(paid)
    if not reason.strip():
        raise CommandError("--reason says how you found out", ExitCode.USAGE)

    async def command() -> Resolved:
        async with session() as opened, transaction(opened.pool) as connection:
            calls = Calls(connection)
            id_ = await resolve_id("call", call, lambda text: calls.list_ids_like(prefix=text))
            try:
                return await resolve_call(
                    connection,
                    id_,
                    resolution,
                    amount=amount,
                    by=person(),
                    reason=reason.strip(),
                )
            except CallSettled as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error

    done = run_async(command)
    if json:
        print_json(done.document())
        return
    goes_on = f"; run {short(done.execution_id)} goes on" if done.resumed else ""
    booked = f", ${done.amount:.6f} booked" if done.amount else ""
    typer.echo(f"call {short(done.id)}: {done.resolution.value.replace('_', ' ')}{booked}{goes_on}")


def _resolution(repeat: bool, paid: str | None, not_paid: bool) -> Resolution:
    given = [
        resolution
        for resolution, wanted in (
            (Resolution.REPEAT, repeat),
            (Resolution.PAID, paid is not None),
            (Resolution.NOT_PAID, not_paid),
        )
        if wanted
    ]
    if len(given) != 1:
        raise CommandError("give one of --repeat, --paid AMOUNT and --not-paid", ExitCode.USAGE)
    return given[0]


def _amount(text: str) -> Decimal:
    amount = parse_dollars(text, "--paid")
    if amount == 0:
        raise CommandError("--paid: nothing was paid? Then it is --not-paid", ExitCode.USAGE)
    return amount
