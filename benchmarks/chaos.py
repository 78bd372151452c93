"""Chaos: many runs while workers are killed and stopped and the database restarts.

    .venv/bin/python -m benchmarks.chaos [--runs 200] [--kills 64] [--stops 20] [--restarts 2]
                                         [--seed 1] [--workers 5] [--control fence|ledger|two-phase]

Worker processes take the runs of several channels and accounts through the whole line. The services
(OpenAI, ElevenLabs, YouTube) are a process of their own, and the verdict is read from its journal,
not from our rows: nothing lost, nothing published twice or on the wrong channel, no account over
its limit, and nothing paid twice but what was in flight in a worker that was hurt. Every stage is
hit at every point, or the run fails; so it does with fewer faults than stated.

With `--control` one safeguard is switched off, and the run must break the promise that rests on it:
it exits with 0 when it does and with 1 when nobody noticed.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys

from benchmarks.chaos_judge import judge
from benchmarks.chaos_report import told
from benchmarks.chaos_show import Show

# What rests on each safeguard.
CONTROLS = {
    "fence": "published_twice",
    "ledger": "paid_twice",
    "two-phase": "published_twice",
}


@dataclasses.dataclass(frozen=True)
class Options:
    runs: int
    kills: int
    stops: int
    restarts: int
    seed: int
    workers: int
    noise: float
    control: str | None
    pg: int


def parse() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=64)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--noise", type=float, default=0.002, help="part of calls left unanswered")
    parser.add_argument("--control", choices=list(CONTROLS), default=None)
    parser.add_argument("--pg", type=int, default=18)
    return Options(**vars(parser.parse_args()))


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is taken down then, too
    with Show(options) as show:
        show.play()
        verdict = judge(show.journal, show.expected())
        print(told(options, show, verdict), flush=True)
        wrong = verdict.broken + show.shortcomings()
    if options.control is not None:
        promise = CONTROLS[options.control]
        broken = any(found.startswith(promise) for found in verdict.broken)
        how = "is broken, as it must be" if broken else "holds all the same: NOTHING IS PROVEN"
        print(f"control {options.control}: {promise} {how}")
        return 0 if broken else 1
    print("every promise held" if not wrong else "BROKEN: " + "; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
