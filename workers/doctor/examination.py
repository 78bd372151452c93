"""What would keep the line from working, found out without changing or spending anything.

A check is a coroutine from an `Examined` to findings, and one line in `CHECKS`. A check that raises
or takes too long is itself a finding; it never hides the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from db.embedded import database_url
from db.embedded_binaries import PostgresNotFoundError
from db.embedded_folder import EmbeddedServerError
from db.errors import DatabaseError
from db.pool import Pool, acquired, open_pool
from db.repositories.findings import Findings
from db.revisions import MigrationError
from workers.doctor import callbacks, local, runs, sources, vendors, youtube
from workers.doctor.finding import Examined, Finding, Level, error, ok
from workers.retry import describe
from workers.settings import Settings

CHECK_TIMEOUT_SECONDS = 40.0

Check = Callable[[Examined], Awaitable[Sequence[Finding]]]

CHECKS: Mapping[str, Check] = {
    "data_folder": local.data_folder,
    "disk": local.disk,
    "schema": local.schema,
    "clock": local.clock,
    "queue": local.queue,
    "runs": runs.runs,
    "callbacks": callbacks.callbacks,
    "vendors": vendors.vendors,
    "paused": vendors.paused,
    "youtube": youtube.accounts,
    "feeds": sources.feeds,
    "footage": sources.footage,
}
"""By name, in the order of the report. Those of the database are told nothing when it is away."""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings. Healthy means: none of them is an error."""

    findings: Sequence[Finding]
    orphans: Sequence[Any] = field(default=())
    unknown_calls: Sequence[Any] = field(default=())
    stuck: Sequence[Any] = field(default=())

    @property
    def healthy(self) -> bool:
        return all(finding.level != Level.ERROR for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """The JSON form: `docs/reference/cli.md` describes it."""
        return {
            "healthy": self.healthy,
            "findings": [asdict(finding) for finding in self.findings],
            "orphans": list(self.orphans),
            "unknown_calls": list(self.unknown_calls),
            "stuck": list(self.stuck),
        }


async def examine(settings: Settings, checks: Mapping[str, Check] = CHECKS) -> Report:
    """Run the checks at the same time; their findings in the order of `checks`."""
    async with AsyncExitStack() as stack:
        reached, url, pool = await _database(settings, stack)
        examined = Examined(settings, url, pool)
        done = await asyncio.gather(*(_run(name, checks[name], examined) for name in checks))
        findings = [reached, *(finding for found in done for finding in found)]
        if pool is None:
            return Report(findings)
        try:
            async with acquired(pool) as connection:
                listed = Findings(connection)
                return Report(
                    findings,
                    orphans=await listed.list_orphans(),
                    unknown_calls=await listed.list_unknown_calls(),
                    stuck=await runs.list_stuck(connection),
                )
        except DatabaseError:
            return Report(findings)  # without its tables; the check of the schema says so


async def _database(
    settings: Settings, stack: AsyncExitStack
) -> tuple[Finding, str | None, Pool | None]:
    try:
        url = stack.enter_context(database_url(settings))
        pool = await open_pool(url, min_size=0, max_size=4, application_name="ytempire doctor")
        stack.push_async_callback(pool.close)
        async with acquired(pool) as connection:
            await connection.fetchval("SELECT 1")
    except (DatabaseError, EmbeddedServerError, PostgresNotFoundError, MigrationError) as problem:
        variable = "DATABASE_URL: " if settings.database_url else ""
        return error("database", f"{variable}{describe(problem)}"), None, None
    kind = "the database of DATABASE_URL" if settings.database_url else "the embedded database"
    return ok("database", f"{kind} answers"), url, pool


async def _run(name: str, check: Check, examined: Examined) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return await check(examined)
    except TimeoutError:
        return [error(name, f"the check did not end within {CHECK_TIMEOUT_SECONDS:.0f} s")]
    except Exception as problem:
        return [error(name, f"the check failed: {describe(problem)}")]
