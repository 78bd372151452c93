"""What a chaos run says at its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.chaos_judge import Verdict
from benchmarks.chaos_show import Show

if TYPE_CHECKING:
    from benchmarks.chaos import Options


def told(options: Options, show: Show, verdict: Verdict) -> str:
    """The report."""
    hits = Counter(entry["action"] for entry in show.fired)
    kills = hits["exit"] + show.killed_at_random
    lines = [
        "",
        f"seed {options.seed}   runs {options.runs}   workers {options.workers}   "
        f"{show.seconds:.0f} s   control {options.control or 'none'}",
        f"faults: {kills} kills ({show.killed_at_random} at random), {hits['freeze']} stops beyond"
        f" the lease, {show.restarted} database restarts, {verdict.cut_calls} paid calls whose"
        " answer was lost",
        f"lost {verdict.lost}   published twice {verdict.published_twice}   wrong channel"
        f" {verdict.wrong_channel}   over the limit {verdict.oversold}   95 % bound a run"
        f" {verdict.bound(options.runs)}",
        f"paid twice {verdict.paid_twice} of {verdict.paid_calls} paid calls (in flight in a hurt"
        f" worker: {verdict.paid_twice_allowed})   private drafts left {verdict.drafts}",
        f"odd exits of workers {dict(show.odd_exits)}   runs {dict(show.statuses)}",
        "hits: " + "  ".join(f"{name} {n}" for name, n in sorted(show.cells().items())),
        *verdict.examples[:20],
    ]
    if verdict.broken or show.shortcomings():
        lines += [*show.troubles(), f"logs and journal: {show.keep()}"]
    return "\n".join(lines)
