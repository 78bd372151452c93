"""Where `benchmarks.chaos` plays: a database, the services, workers, and all that goes wrong.

Time that would only be waited for is made to pass: the heartbeat of a stopped worker is set back
beyond its lease, a call that was cut off settles as soon as its service can have done with it, and
what rests for longer than a moment is due at once. The order of things stays the product's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psycopg

from benchmarks.chaos_faults import cell_name, required, schedule
from benchmarks.chaos_judge import Expected, Hurt
from benchmarks.chaos_setting import Setting, inserts_of, name_of, set_up, start_runs
from benchmarks.queue_crew import mortal_server
from pipeline.domain import StageName
from tests.services.faults import Fault
from tests.services.forge import Forge, Worker

if TYPE_CHECKING:
    from benchmarks.chaos import Options

ROOT = Path(__file__).parents[1]
TICK_SECONDS = 0.1
PATIENCE_SECONDS = 240.0
# Without a safeguard some runs get stuck for good.
CONTROL_PATIENCE_SECONDS = 60.0
OPEN_RUNS = 30
ARMED = 10
FAULT_FIELDS = [field.name for field in dataclasses.fields(Fault)]
LEASE = "31 seconds"
# Longer than a call to the services ever takes here.
SETTLED_SECONDS = 4.0

PASS_TIME = """
WITH settled AS (
    UPDATE provider_calls SET settle_at = clock_timestamp()
     WHERE status = 'intent' AND settle_at > clock_timestamp()
       AND created_at < clock_timestamp() - make_interval(secs => %(settled)s))
UPDATE queue.job_queue
   SET scheduled_for = clock_timestamp(),
       next_retry_at = CASE WHEN next_retry_at IS NOT NULL THEN clock_timestamp() END
 WHERE status = 'pending' AND job_type LIKE 'video.%%'
   AND coalesce(next_retry_at, scheduled_for) > clock_timestamp() + interval '5 s'
"""
BUSY = """
SELECT w.pid, coalesce(max(j.crashes), 0) AS crashes
  FROM queue.job_workers w
  JOIN queue.job_queue j ON j.worker_id = w.id AND j.status = 'processing'
 WHERE w.stopped_at IS NULL GROUP BY w.pid
"""


class Show:
    """Sets everything up on entry, hurts it in `play`, and takes it down."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._chance = random.Random(options.seed)
        scattered = options.kills // 4
        self._planned = schedule(
            self._chance,
            exits=options.kills - scattered,
            freezes=options.stops,
            runs=options.runs,
        )
        self._scattered = scattered
        self._patience = PATIENCE_SECONDS if options.control is None else CONTROL_PATIENCE_SECONDS
        self.fired: list[dict[str, Any]] = []
        self.killed_at_random = 0
        self.restarted = 0
        self.started = 0
        self.odd_exits: Counter[int] = Counter()
        self.statuses: Counter[str] = Counter()
        self.seconds = 0.0
        self._share = 0.0
        self._workers: dict[int, Worker] = {}
        self._numbers: dict[int, int] = {}
        self._frozen: dict[int, float] = {}
        self._hurt: defaultdict[int, list[Hurt]] = defaultdict(list)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        self._server = enter(mortal_server(self.options.pg, connections=300))
        self._folder = self._server._folder.parent / "chaos"
        self._folder.mkdir(mode=0o755)
        (self._folder / "struck").mkdir()
        self._fired_file = self._folder / "fired.jsonl"
        self._fired_file.touch()
        self.journal = self._folder / "journal.jsonl"
        self._provider = self._start_provider()
        self._stack.callback(self._end_provider)
        self._url = self._server.url(self._server.create_database())
        self.setting: Setting = set_up(
            self._url, self._folder, self._services, runs=self.options.runs
        )
        entry = "run" if self.options.control is None else (
            "run_without_" + self.options.control.replace("-", "_")
        )  # fmt: skip
        self._forge = enter(Forge(entry=f"benchmarks.chaos_worker:{entry}"))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start_provider(self) -> subprocess.Popen[str]:
        provider = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.chaos_provider"),
                *("--journal", str(self.journal), "--seed", str(self.options.seed)),
                *("--noise", str(self.options.noise)),
                *("--inserts", str(inserts_of(self.options.runs))),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert provider.stdout is not None
        self._services: dict[str, str] = json.loads(provider.stdout.readline())
        return provider

    def _end_provider(self) -> None:
        self._provider.terminate()
        self._provider.communicate()

    # -- the play -----------------------------------------------------------------------------

    def play(self) -> None:
        """Until every run has ended, or nothing has moved for a long time."""
        began, moved, done, seen = time.monotonic(), time.monotonic(), -1, -1
        next_look = next_minute = 0.0
        enqueued = 0
        while True:
            now = time.monotonic() - began
            self._keep_workers()
            self._hear_of_faults()
            self._wake_the_frozen(now)
            with contextlib.suppress(psycopg.OperationalError):
                if now >= next_look:
                    next_look = now + 1.0
                    self._let_time_pass()
                    ended, steps = self._look()
                    if steps != seen:
                        moved, seen = time.monotonic(), steps
                    done = ended
                    open_runs = enqueued - ended
                    if enqueued < self.options.runs and open_runs < OPEN_RUNS // 2:
                        more = min(OPEN_RUNS - open_runs, self.options.runs - enqueued)
                        start_runs(self._url, self.setting, enqueued, enqueued + more)
                        enqueued += more
                    self._share = steps / (len(StageName) * self.options.runs)
                    if self.restarted < self.options.restarts * min(1.0, self._share * 1.1):
                        self._restart_database()
                if self.killed_at_random < min(
                    self._scattered, self._scattered * self._share * 1.2
                ):
                    self._kill_one()
            if now >= next_minute:
                next_minute = now + 60.0
                print(self._line(done, now), flush=True)
            if done >= self.options.runs or time.monotonic() - moved > self._patience:
                break
            time.sleep(TICK_SECONDS)
        self.seconds = time.monotonic() - began
        print(self._line(done, self.seconds), flush=True)

    def _line(self, done: int, now: float) -> str:
        hits = Counter(entry["action"] for entry in self.fired)
        return (
            f"{now:6.0f} s  runs ended {done} of {self.options.runs}   killed"
            f" {hits['exit']} at points + {self.killed_at_random}   stopped {hits['freeze']}"
            f"   restarts {self.restarted}   workers started {self.started}"
            f"   {dict(self.statuses)}"
        )

    def _keep_workers(self) -> None:
        for pid, worker in list(self._workers.items()):
            if worker.code is None:
                continue
            del self._workers[pid]
            self._frozen.pop(pid, None)
            if worker.code not in (-signal.SIGKILL, 0):
                self.odd_exits[worker.code] += 1
        while len(self._workers) - len(self._frozen) < self.options.workers:
            number = self.started
            self.started += 1
            # More than one, for a worker is at any stage only now and then.
            now_due = self._planned[: self._allowed()]
            armed = self._chance.sample(now_due, min(ARMED, len(now_due)))
            worker = self._start(number, armed)
            self._workers[worker.pid] = worker
            self._numbers[worker.pid] = number

    def _allowed(self) -> int:
        """How many of the faults that are left may come now: they are spread over the play."""
        allowed = ARMED + 1.25 * self._share * (self.options.kills + self.options.stops)
        return max(0, math.ceil(allowed) - len(self.fired))

    def _start(self, number: int, faults: list[Fault]) -> Worker:
        place = f"/w/{number}"
        return self._forge.start(
            ["worker", "--concurrency", "1", "--name", f"chaos-{number}"],
            env={
                **self.setting.environment,
                "OPENAI_BASE_URL": f"{self._services['openai']}{place}/v1",
                "YTEMPIRE_ELEVENLABS_BASE_URL": f"{self._services['elevenlabs']}{place}",
            },
            log=self._folder / "workers.log",
            cwd=self._folder,
            faults=faults,
            fired=self._fired_file,
        )

    def _hear_of_faults(self) -> None:
        lines = self._fired_file.read_text().splitlines()
        for line in lines[len(self.fired) :]:
            entry = json.loads(line)
            self.fired.append(entry)
            blow = Hurt(entry["at"], entry["point"])
            self._hurt[self._numbers[entry["pid"]]].append(blow)
            fault = Fault(**{name: entry[name] for name in FAULT_FIELDS})
            if fault in self._planned:
                self._planned.remove(fault)
            # One that was killed at random right after it was stopped is gone by now.
            if entry["action"] == "freeze" and entry["pid"] in self._workers:
                self._frozen[entry["pid"]] = -1.0

    def _wake_the_frozen(self, now: float) -> None:
        """Let a stopped worker's lease run out; wake it a few seconds after."""
        for pid, until in list(self._frozen.items()):
            if until < 0:
                with contextlib.suppress(psycopg.OperationalError):
                    self._execute(
                        "UPDATE queue.job_workers SET last_heartbeat ="
                        " last_heartbeat - %s::interval WHERE pid = %s AND stopped_at IS NULL",
                        (LEASE, pid),
                    )
                    self._frozen[pid] = now + self._chance.uniform(1.5, 6.0)
            elif now >= until:
                del self._frozen[pid]
                self._workers[pid].kill(signal.SIGCONT)

    def _kill_one(self) -> None:
        """Kill a worker that is at a job which nothing has happened to yet."""
        busy = self._rows(BUSY)
        unhurt = [
            pid
            for pid, crashes in busy
            if not crashes and pid in self._workers and pid not in self._frozen
        ]
        if not unhurt:
            return
        victim = self._chance.choice(sorted(unhurt))
        self._workers[victim].kill()
        self._hurt[self._numbers[victim]].append(Hurt(time.time(), None))
        self.killed_at_random += 1

    def _restart_database(self) -> None:
        self.restarted += 1
        self._chance.choice((self._server.crash, self._server.stop))()
        time.sleep(self._chance.uniform(0.0, 2.0))
        self._server.go_on()

    def _let_time_pass(self) -> None:
        self._execute(PASS_TIME, {"settled": SETTLED_SECONDS})

    def _look(self) -> tuple[int, int]:
        """How many runs have ended, and how many steps are done in all."""
        rows = self._rows("SELECT status, count(*) FROM workflow_executions GROUP BY status")
        self.statuses = Counter(dict(rows))
        ended = sum(self.statuses[name] for name in ("success", "failed", "cancelled", "timeout"))
        ((steps,),) = self._rows(
            "SELECT coalesce(sum(items_processed), 0) FROM workflow_executions"
        )
        return ended, int(steps)

    def _execute(self, query: str, arguments: Any) -> None:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(query, arguments)

    def _rows(self, query: str) -> list[Any]:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(query).fetchall()

    # -- the report ---------------------------------------------------------------------------

    def expected(self) -> Expected:
        """What the journal must show."""
        channels = {
            name_of(n): self.setting.channel_of(n).youtube for n in range(self.options.runs)
        }
        return Expected(channels, self.setting.limits, self._hurt, self.setting.inserts)

    def cells(self) -> Counter[str]:
        """How often each stage was hit at each point."""
        return Counter(cell_name(entry) for entry in self.fired)

    def shortcomings(self) -> list[str]:
        """Why this run proves less than it was asked to."""
        hits = Counter(entry["action"] for entry in self.fired)
        killed = hits["exit"] + self.killed_at_random
        found = []
        if killed < self.options.kills:
            found.append(f"killed {killed} of {self.options.kills}")
        if hits["freeze"] < self.options.stops:
            found.append(f"stopped {hits['freeze']} of {self.options.stops}")
        if self.restarted < self.options.restarts:
            found.append(f"restarted {self.restarted} of {self.options.restarts}")
        missed = sorted(required() - set(self.cells()))
        if missed:
            found.append(f"never hit: {', '.join(missed)}")
        unfinished = {name: n for name, n in self.statuses.items() if name != "success" and n}
        if unfinished:
            found.append(f"stuck {unfinished}")
        return found

    def troubles(self) -> list[str]:
        """The runs that did not end well, as their rows tell it."""
        rows = self._rows(
            "SELECT e.id, e.status, e.current_step, e.error_message, j.status, j.crashes,"
            " j.last_error FROM workflow_executions e LEFT JOIN workflow_steps s"
            " ON s.execution_id = e.id AND s.step_name = e.current_step"
            " LEFT JOIN queue.job_queue j ON j.id = s.job_id"
            " WHERE e.status <> 'success' LIMIT 10"
        )
        return [" | ".join(map(str, row)) for row in rows]

    def keep(self) -> str:
        """Where logs and journal are kept of a run that went wrong."""
        target = Path(f"/tmp/chaos-{self.options.seed}-{os.getpid()}")  # noqa: S108
        target.mkdir(exist_ok=True)
        for file in (self.journal, self._fired_file, self._folder / "workers.log"):
            (target / file.name).write_bytes(file.read_bytes())
        return str(target)
