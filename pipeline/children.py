"""Starting, running and ending child processes so that none outlives its purpose: the one place.

A child leads a session of its own, dies with the thread that started it (`launch`), has limits, and
is killed with its whole group on cancellation or when its time is up. Start children from the event
loop's thread, which lives as long as they should: the kernel ties them to that very thread.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Transient

_LAUNCHER = str(Path(__file__).with_name("launch.py"))
# Nothing of our environment is a child's business: it holds credentials.
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
_KEPT_OF_STDERR = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use before the kernel stops it."""

    address_space_bytes: int = 12 * 2**30
    cpu_seconds: int = 4 * 3600
    file_bytes: int = 64 * 2**30


class TooSlow(Transient):
    """A child was killed with its group because its time was up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a finished child wrote."""

    stdout: bytes
    stderr: str


def command(program: Sequence[str], limits: Limits | None = None) -> list[str]:
    """The argument list that starts `program` (an absolute path first) through the launcher."""
    chosen = limits or Limits()
    numbers = (os.getpid(), chosen.address_space_bytes, chosen.cpu_seconds, chosen.file_bytes)
    return [sys.executable, "-I", "-S", _LAUNCHER, *map(str, numbers), *program]


async def run(
    program: Sequence[str],
    *,
    purpose: str,
    timeout_seconds: float,
    stdin: bytes | None = None,
    limits: Limits | None = None,
) -> Answer:
    """Run a program to its end; `stdin` is what it reads.

    Raises `Transient` with the end of its stderr when it fails, `TooSlow` when it takes too long;
    killed, with its group, when cancelled.
    """
    child = await start(program, stdin=stdin is not None, limits=limits)
    try:
        async with asyncio.timeout(timeout_seconds):
            stdout, stderr = await child.communicate(stdin)
    except TimeoutError as error:
        raise TooSlow(f"{purpose}: not done after {timeout_seconds:.0f} s; killed.") from error
    finally:
        await end(child)
    text = stderr.decode("utf-8", "replace")
    if child.returncode:
        raise Transient(failure(purpose, child.returncode, text))
    return Answer(stdout, text)


async def start(
    program: Sequence[str], *, stdin: bool = False, limits: Limits | None = None
) -> asyncio.subprocess.Process:
    """Start a program with its output piped; the caller `end`s it."""
    return await asyncio.create_subprocess_exec(
        *command(program, limits),
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
        limit=2**20,
    )


async def end(child: asyncio.subprocess.Process) -> None:
    """Kill a child's group, if it still runs, and reap it, even while being cancelled."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await asyncio.shield(asyncio.ensure_future(child.wait()))


def failure(purpose: str, returncode: int, stderr: str) -> str:
    """The message for a child that ended badly."""
    how = f"killed by signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
    said = stderr.strip()[-_KEPT_OF_STDERR:] or "it said nothing"
    return f"{purpose}: {how}: {said}"
