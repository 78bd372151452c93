"""Amounts of US dollars as people type them."""

from decimal import Decimal, InvalidOperation

from workers.cli.output import CommandError, ExitCode

MOST = Decimal(100_000)


def parse_dollars(text: str, option: str) -> Decimal:
    """From 0 up to 100,000 dollars, to the micro-dollar. Raises `CommandError` that names the
    option for anything else."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST or amount != round(amount, 6):
        raise CommandError(
            f"{option}: {text!r} is no amount of US dollars, such as 2.50", ExitCode.USAGE
        )
    return amount
