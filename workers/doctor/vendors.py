"""Checks of the chosen vendors: key, reachability, quota and clock, without spending."""

import asyncio
from collections.abc import Sequence

from db.pool import acquired
from db.repositories.providers import Providers
from workers.doctor.clock import differing
from workers.doctor.finding import Examined, Finding, error, ok, warning
from workers.settings import SettingsError
from workers.vendors.standing import STANDINGS, chosen_vendors


async def vendors(examined: Examined) -> Sequence[Finding]:
    """Every chosen vendor would take a call now; embedded providers need no check."""
    names = chosen_vendors(examined.settings)
    found = await asyncio.gather(*(_vendor(examined, name) for name in names))
    return [finding for findings in found for finding in findings]


async def paused(examined: Examined) -> Sequence[Finding]:
    """No vendor is paused because it wants money."""
    if examined.pool is None:
        return []
    async with acquired(examined.pool) as connection:
        listed = await Providers(connection).list_paused()
    return [
        error("paused", f"{one.provider} is paused until {one.paused_until:%H:%M}Z: {one.reason}")
        for one in listed
    ] or [ok("paused", "no vendor is paused")]


async def _vendor(examined: Examined, name: str) -> list[Finding]:
    try:
        standing = await STANDINGS[name](examined.settings)
    except SettingsError as problem:
        return [error(name, str(problem))]
    findings = [warning(name, told) for told in standing.warnings]
    if standing.problem is not None:
        findings.append(error(name, standing.problem))
    findings += [ok(name, told) for told in standing.notes]
    return findings + differing(name, "the vendor's", standing.server_time)
