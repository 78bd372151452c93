"""A month of uploads: how fairly accounts serve, how much of them is used, how often reserves help.

    .venv/bin/python -m benchmarks.rotation [--days 30] [--channels 50] [--accounts 15]
                                            [--reserves 5] [--seed 1] [--pg 18]

Starts a PostgreSQL of its own and replays the same wishes and the same failures through ytempire's
own reservations, as workers make them, and through a naive round robin; beside them stands the best
that anybody could do who knew the month in advance (a maximum flow). The moments are arguments of
the statements, so that a month takes minutes.

Each channel wishes for none to three videos a day, between six and twenty o'clock in Los Angeles.
What goes wrong: a channel may upload no more for 24 hours (3 accounts in 100 a day), a grant is
revoked until a person comes the next morning (1 in 100), a refusal has no reason (2 uploads in
100), and in the middle of the month half of the accounts lose their project's quota for an
afternoon.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Sequence

from benchmarks.rotation_month import UPLOADS_A_DAY, Month, Result, make_month
from benchmarks.rotation_ways import Ours, RoundRobin, best_possible
from db.pool import open_pool
from tests.services.postgres import PostgresServer, SessionFolder


def jain(values: Sequence[float]) -> float:
    """1 when all are alike, 1/n when one has everything."""
    total = sum(values)
    return total**2 / (len(values) * sum(value**2 for value in values)) if total else 1.0


def gini(values: Sequence[float]) -> float:
    """0 when all are alike, near 1 when one has everything."""
    ordered, total = sorted(values), sum(values)
    if not total:
        return 0.0
    weighted = sum((n + 1) * value for n, value in enumerate(ordered))
    return 2 * weighted / (len(ordered) * total) - (len(ordered) + 1) / len(ordered)


def tell(result: Result, best: int) -> None:
    month = result.month
    primaries = [
        result.by_account.get(n, 0) for n in range(month.accounts) if not month.is_reserve(n)
    ]
    wished = [sum(1 for _, c in month.wishes if c == n) for n in range(month.channels)]
    shares = [result.by_channel.get(n, 0) / wished[n] for n in range(month.channels) if wished[n]]
    capacity = month.days * UPLOADS_A_DAY
    waits = sorted(result.waits)
    print(f"\n{result.name}")
    print(f"  served            {result.served} of {len(month.wishes)}, best possible {best}")
    print(f"  on the wish's day {result.same_day}")
    print(
        f"  wait in hours     median {statistics.median(waits):.2f},"
        f" p95 {waits[int(0.95 * len(waits))]:.1f}, most {waits[-1]:.1f}"
    )
    print(f"  refused requests  {result.refusals}")
    print(f"  by reserves       {result.by_reserves} ({result.by_reserves / result.served:.1%})")
    print(f"  ... needlessly    {result.early_reserves}")
    print(f"  use of primaries  {sum(primaries) / (len(primaries) * capacity):.1%}")
    print(f"  among primaries   Jain {jain(primaries):.4f}, Gini {gini(primaries):.4f}")
    print(f"  among channels    Jain {jain(shares):.4f}, least served {min(shares):.1%}")


async def compare(month: Month, url: str) -> None:
    pool = await open_pool(url)
    try:
        ours = Ours(month, pool)
        results = [await ours.run(), await RoundRobin(month).run()]
    finally:
        await pool.close()
    best = best_possible(month)
    print(
        f"{len(month.wishes)} wishes in {month.days} days of {month.channels} channels;"
        f" {month.accounts} accounts ({month.reserves} reserves) of {UPLOADS_A_DAY} uploads a day;"
        f" {len(month.outages)} outages, {len(month.doubted)} doubtful refusals"
    )
    print(
        f"best possible: {best} served, {best_possible(month, carry=False)} on the wish's day,"
        f" {best_possible(month, reserves=False)} by primaries alone"
    )
    for result in results:
        tell(result, best)
    seconds = sorted(ours.seconds)
    print(
        f"\n{len(seconds)} reservations: median {statistics.median(seconds) * 1000:.1f} ms,"
        f" p99 {seconds[int(0.99 * len(seconds))] * 1000:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("days", 30), ("channels", 50), ("accounts", 15), ("reserves", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pg", type=int, choices=(18, 16, 15), default=18)
    given = parser.parse_args()
    month = make_month(given.days, given.channels, given.accounts, given.reserves, given.seed)
    print(f"seed {given.seed}, PostgreSQL {given.pg}")
    folder = SessionFolder()
    try:
        server = PostgresServer(folder.path, "bench")
        server.start(given.pg)
        with server.database() as url:
            asyncio.run(compare(month, url))
    finally:
        folder.remove()


if __name__ == "__main__":
    main()
