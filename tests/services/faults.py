"""Faults at named points of the line, for tests that break it on purpose.

    arm_faults([Fault("voice", "after_send", "exit")], fired=Path("fired.jsonl"))

The shipped program has points in its own code (pipeline.failpoints). Where an outside capability
begins, at the ports, the points are wired here: each call of a port is `after_intent` before it and
`after_send` once it has come back, with the port's method as the operation.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import structlog

import workers.runtime
import workers.tasks.stages
from db.errors import CommitUnknown, Unavailable
from pipeline.domain import StageName
from pipeline.errors import Ambiguous, Transient
from pipeline.failpoints import Point, arm, reach

STAGE: ContextVar[str] = ContextVar("stage", default="")
ACTIONS = ("exit", "freeze", "hang", "raise", "timeout", "do")
HOST_CALLS = (
    "owner",
    "open_upload",
    "send",
    "find",
    "publish",
    "add_thumbnail",
    "add_captions",
    "add_to_playlist",
    "inspect",
    "statistics",
)


class Broken(Exception):
    """What `raise` raises: a bug, as far as the product can tell."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """The `nth` time that a step of `stage` comes to `point` (of `operation`, if given), `action`:

    exit     kill -9 of the own process
    freeze   SIGSTOP of the own process
    hang     the task waits for ever, the process lives on
    raise    an error nobody expects
    timeout  what was asked for has happened, and its caller is told that time is up
    do       whatever the test has given as `do`
    """

    stage: str
    point: str
    action: str
    nth: int = 1
    operation: str | None = None
    number: int = 0  # of several processes that have this fault armed, one is struck by it

    def __post_init__(self) -> None:
        assert self.point in set(Point), self.point
        assert self.action in ACTIONS, self.action


class Faults:
    """The trigger: counts what is passed, and strikes. `fired` keeps one JSON line a strike.

    `spared` is a folder of jobs that were struck already, by whomever; none is struck twice.
    """

    def __init__(
        self, faults: Iterable[Fault], fired: Path | None = None, spared: Path | None = None
    ) -> None:
        self._spared = spared
        self.waiting = list(faults)
        self.passed: list[tuple[str, str, str]] = []
        self.struck: list[Fault] = []
        self.do: Callable[[], Any] | None = None
        self._counts: dict[Fault, int] = {}
        self._fired = fired

    async def __call__(self, point: Point, place: str) -> None:
        stage, operation = self._where(point, place)
        self.passed.append((stage, point.value, operation))
        for fault in self.waiting:
            if (fault.stage, fault.point) != (stage, point.value):
                continue
            if fault.operation is not None and fault.operation != operation:
                continue
            self._counts[fault] = self._counts.get(fault, 0) + 1
            if self._counts[fault] >= fault.nth and self._may_strike(fault):
                self.waiting.remove(fault)
                await self._strike(fault, operation)
                return

    def _where(self, point: Point, place: str) -> tuple[str, str]:
        stage, _, operation = place.removeprefix("video.").partition("/")
        if stage == "":
            stage = STAGE.get()
        if point is Point.BEFORE_INTENT:
            STAGE.set(stage)
        return stage, operation

    def _may_strike(self, fault: Fault) -> bool:
        if self._spared is None:
            return True
        if (self._spared / f"fault-{fault.number}").exists():
            return False
        # After the end of a job no job is bound to the log's context any more.
        job = structlog.contextvars.get_contextvars().get("job_id")
        return (job is None or _first(self._spared / f"job-{job}")) and _first(
            self._spared / f"fault-{fault.number}"
        )

    async def _strike(self, fault: Fault, operation: str) -> None:
        self.struck.append(fault)
        if self._fired is not None:
            note(
                self._fired,
                {"at": time.time(), "pid": os.getpid(), **dataclasses.asdict(fault)},
            )
        match fault.action:
            case "exit":
                os.kill(os.getpid(), signal.SIGKILL)
            case "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "hang":
                await asyncio.Event().wait()
            case "raise":
                raise Broken(f"broken {fault.point} of {fault.stage}")
            case "timeout":
                raise timed_out(fault)
            case "do":
                assert self.do is not None
                await self.do()


def timed_out(fault: Fault) -> Exception:
    """What the caller at this point sees of an answer that did not come in time."""
    match Point(fault.point):
        case Point.AFTER_COMMIT:
            return CommitUnknown("the answer to COMMIT did not arrive")
        case Point.BEFORE_COMMIT | Point.BEFORE_INTENT | Point.AFTER_RESPONSE:
            return Unavailable("the database did not answer in time")
    paid = fault.stage in ("script", "voice")
    return (Ambiguous if paid else Transient)(f"{fault.stage}: no answer in time")


def _first(file: Path) -> bool:
    """Whether nobody made the file before."""
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def note(file: Path, entry: dict[str, Any]) -> None:
    """Append a line that outlives the process."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(entry).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reaching:
    """A port whose listed methods come to points before and after they are called."""

    def __init__(self, port: Any, methods: Iterable[str], after: Point = Point.AFTER_SEND) -> None:
        self._port = port
        self._methods = frozenset(methods)
        self._after = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in self._methods:
            return found

        async def called(*arguments: Any, **named: Any) -> Any:
            if self._after is Point.AFTER_SEND:
                await reach(Point.AFTER_INTENT, f"/{name}")
            answer = await found(*arguments, **named)
            await reach(self._after, f"/{name}")
            return answer

        return called


def wire_ports(runtime: workers.runtime.Runtime) -> workers.runtime.Runtime:
    """The runtime with its ports reaching points."""
    return dataclasses.replace(
        runtime,
        renderer=Reaching(runtime.renderer, ["render"]),
        store=Reaching(runtime.store, ["put"], Point.AFTER_RESPONSE),
        host_for=lambda account, name: Reaching(runtime.host_for(account, name), HOST_CALLS),
    )


def hurried(runtime: workers.runtime.Runtime) -> workers.runtime.Runtime:
    """The fake YouTube lists a video at once: nobody has to look for it for two minutes."""

    def host_for(account: Any, name: str) -> Any:
        host: Any = runtime.host_for(account, name)
        host._options = dataclasses.replace(host._options, look_up_waits=(0.1, 0.2))
        return host

    return dataclasses.replace(runtime, host_for=host_for)


def _wire_choice(run: Any) -> Any:
    """The first stage asks nobody outside: its choice itself is what it does."""

    async def picked(runtime: Any, claim: Any) -> Any:
        await reach(Point.AFTER_INTENT, "/choose")
        performance = await run(runtime, claim)
        await reach(Point.AFTER_SEND, "/choose")
        await reach(Point.AFTER_RESPONSE, "/choose")
        return performance

    return picked


def _wire_answer(run: Any) -> Any:
    """The last stage keeps nothing before its record: its answers are at hand when it returns."""

    async def measured(runtime: Any, claim: Any) -> Any:
        performance = await run(runtime, claim)
        await reach(Point.AFTER_RESPONSE, "/measure")
        return performance

    return measured


_open_runtime = workers.runtime.open_runtime
_runners = workers.tasks.stages.RUNNERS
Wire = Callable[[workers.runtime.Runtime], workers.runtime.Runtime]


def arm_faults(
    faults: Iterable[Fault],
    *,
    fired: Path | None = None,
    spared: Path | None = None,
    wire: Wire | None = None,
) -> Faults:
    """Arm this process, and wire the ports of every runtime that it opens from now on.

    `wire` changes a runtime before that. `disarm` undoes it all.
    """
    trigger = Faults(faults, fired, spared)
    arm(trigger)

    @asynccontextmanager
    async def opened(*arguments: Any, **named: Any) -> AsyncIterator[workers.runtime.Runtime]:
        async with _open_runtime(*arguments, **named) as runtime:
            yield wire_ports(wire(runtime) if wire is not None else runtime)

    workers.runtime.open_runtime = opened
    first, last = StageName.TREND_PICK, StageName.ANALYTICS_PULL
    workers.tasks.stages.RUNNERS = {
        **_runners,
        first: _wire_choice(_runners[first]),
        last: _wire_answer(_runners[last]),
    }
    return trigger


def disarm() -> None:
    """As the process was before."""
    arm(None)
    workers.runtime.open_runtime = _open_runtime
    workers.tasks.stages.RUNNERS = _runners
