"""Worker processes without their second of imports: forked from a process that has them.

    with Forge() as forge:
        worker = forge.start(["worker", "--until-idle"], env=..., log=..., faults=[...])
        worker.wait(30)

Each is a process of its own that runs the command line as shipped; only the interpreter and the
modules are there already. The server itself opens nothing, so that nothing is shared by a fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.services.faults import Fault

ROOT = Path(__file__).parents[2]
MODULES = (
    "workers.cli",
    "workers.app",
    "workers.runtime",
    "workers.vendors.openai",
    "workers.vendors.elevenlabs",
    "workers.accounts.youtube",
    "pipeline.providers.host_local",
    "pipeline.providers.writer_local",
    "pipeline.providers.narrator_local",
)
ENTRY = "tests.services.armed_worker:run"
PR_SET_PDEATHSIG = 1


class Worker:
    """A forked process. `code` is as `Popen.returncode`, None while it runs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.ended = threading.Event()

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; nothing when it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, how)

    def wait(self, seconds: float) -> int:
        """Its code once it has ended; `TimeoutError` after so many seconds."""
        if not self.ended.wait(seconds) or self.code is None:
            raise TimeoutError(f"worker {self.pid} still runs after {seconds} s")
        return self.code


class Forge:
    """The fork server, seen from the process that uses it.

    `entry` is `module:function`, called in the child with the faults as JSON, the file for fired
    faults, and the arguments. `preload` are more modules to import once.
    """

    def __init__(self, *, entry: str = ENTRY, preload: Sequence[str] = ()) -> None:
        self._entry = entry
        self._preload = tuple(preload)
        self.workers: dict[int, Worker] = {}
        self._started: list[int] = []
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.services.forge", self._entry, *self._preload],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads would not survive a fork
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline(), "the fork server could not start"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._starting = threading.Lock()
        return self

    def start(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path,
        faults: Sequence[Fault] = (),
        fired: Path | None = None,
    ) -> Worker:
        """Fork a worker; its output is appended to `log`."""
        request = {
            "arguments": list(arguments),
            "env": dict(env),
            "log": str(log),
            "cwd": str(cwd),
            "faults": json.dumps([dataclasses.asdict(fault) for fault in faults]),
            "fired": str(fired or os.devnull),
        }
        stdin = self._server.stdin
        assert stdin is not None
        with self._starting:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            with self._news:
                assert self._news.wait_for(lambda: self._started, 60), "the fork server is stuck"
                return self.workers[self._started.pop()]

    def _read(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            told = json.loads(line)
            with self._news:
                if "started" in told:
                    self.workers[told["started"]] = Worker(told["started"])
                    self._started.append(told["started"])
                    self._news.notify_all()
                else:
                    worker = self.workers[told["ended"]]
                    worker.code = told["code"]
                    worker.ended.set()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self.workers.values():
            worker.kill()  # SIGKILL ends stopped ones, too
        for worker in self.workers.values():
            worker.ended.wait(10)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._reader.join()
        assert self._server.stdout is not None
        self._server.stdout.close()


def _serve(entry: str, modules: Sequence[str]) -> None:
    """Fork whenever a line asks for it; tell of every child that ended."""
    name, _, function = entry.partition(":")
    for module in (*MODULES, *modules, name):
        importlib.import_module(module)
    run = getattr(importlib.import_module(name), function)
    gc.collect()
    gc.freeze()  # what is here stays: no page of it is copied for the collector's sake
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pending = b""
    _tell({"ready": os.getpid()})
    while True:
        readable, _, _ = select.select([0, wake_read], [], [])
        if wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
        _reap()
        if 0 not in readable:
            continue
        data = os.read(0, 1 << 16)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(wake_read)
                os.close(wake_write)
                _become(json.loads(line), run)
            _tell({"started": pid})


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _become(request: dict[str, Any], run: Any) -> None:
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        run(request["faults"], request["fired"], *request["arguments"])
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
