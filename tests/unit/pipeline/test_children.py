import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import children
from pipeline.errors import Transient

PYTHON = [sys.executable, "-I", "-c"]


def gone(pid: int) -> bool:
    """True when a process has ended (a zombie that nobody reaped has, too)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def wait_until_gone(pid: int) -> bool:
    for _ in range(500):
        if gone(pid):
            return True
        time.sleep(0.02)
    return False


async def test_child_answers_with_what_it_wrote() -> None:
    answer = await children.run(
        [*PYTHON, "import sys; print(6 * 7); print('note', file=sys.stderr)"],
        purpose="Counting",
        timeout_seconds=60,
    )
    assert (answer.stdout, answer.stderr) == (b"42\n", "note\n")


async def test_failure_says_what_was_done_and_what_the_child_said() -> None:
    with pytest.raises(Transient, match=r"Counting: exit code 3: no numbers left"):
        await children.run(
            [*PYTHON, "import sys; sys.stderr.write('no numbers left'); sys.exit(3)"],
            purpose="Counting",
            timeout_seconds=60,
        )


async def test_child_is_killed_when_its_time_is_up() -> None:
    with pytest.raises(Transient, match="not done after 0 s; killed"):
        await children.run(
            [*PYTHON, "import time; time.sleep(600)"], purpose="Sleeping", timeout_seconds=0.3
        )


async def test_cancelling_kills_the_whole_group() -> None:
    nested = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-I', '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    child = await children.start([*PYTHON, nested])
    assert child.stdout is not None
    grandchild = int(await child.stdout.readline())

    async def wait() -> None:
        try:
            await child.wait()
        finally:
            await children.end(child)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child.returncode == -signal.SIGKILL
    assert wait_until_gone(grandchild)


async def test_child_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    answer = await children.run(
        [*PYTHON, "import os; print(sorted(os.environ))"], purpose="Looking", timeout_seconds=60
    )
    assert "OPENAI_API_KEY" not in answer.stdout.decode()


async def test_child_is_limited() -> None:
    limits = "import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_AS))"
    answer = await children.run([*PYTHON, limits], purpose="Looking", timeout_seconds=60)
    assert answer.stdout.decode().startswith("(0, 0) (12884901888, ")


def test_child_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [
            *PYTHON,
            (
                "import asyncio, sys\n"
                "from pipeline import children\n"
                "async def main():\n"
                "    child = await children.start([sys.executable, '-I', '-c',"
                " 'print(1, flush=True); import time; time.sleep(600)'])\n"
                "    await child.stdout.readline()\n"
                "    print(child.pid, flush=True)\n"
                "    await asyncio.sleep(600)\n"
                "asyncio.run(main())\n"
            ),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not gone(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_until_gone(child)


def test_launcher_refuses_to_start_for_a_parent_that_has_gone() -> None:
    arguments = children.command([sys.executable, "-c", "print('started')"])
    arguments[4] = "1"  # a parent that is not ours
    answer = subprocess.run(arguments, capture_output=True, check=False)
    assert (answer.returncode, answer.stdout) == (125, b"")
