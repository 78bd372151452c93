"""The check of what others are told: callbacks that were given up, settings that do not fit."""

from collections.abc import Sequence

from db.pool import acquired
from db.repositories.deliveries import Deliveries
from workers.doctor.finding import Examined, Finding, ok, warning


async def callbacks(examined: Examined) -> Sequence[Finding]:
    """Nothing was given up, and what is sent to a stranger's network can be told from a forgery."""
    settings = examined.settings
    findings = []
    if settings.alert_callback_url and not (settings.callback_secrets or settings.callback_header):
        findings.append(
            warning(
                "callbacks",
                "callbacks are neither signed nor carry a header, so a receiver cannot tell them"
                " from others: set YTEMPIRE_CALLBACK_SECRET or YTEMPIRE_CALLBACK_HEADER",
            )
        )
    if examined.pool is None:
        return findings
    async with acquired(examined.pool) as connection:
        dead = await Deliveries(connection).count_dead()
    findings += [
        warning(
            "callbacks",
            f"{each.deliveries} callbacks to {each.origin} were given up, such as: {each.example}",
            "ytempire callback retry --dead",
        )
        for each in dead
    ]
    return findings or [ok("callbacks", "none was given up")]
