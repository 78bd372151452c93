"""The demo's worker processes: real workers of their own, ended with the command."""

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.cli.output import CommandError
from workers.settings import Settings

#: One worker draws, so that one film at a time has both cores; the other does all the rest.
POSTS = {"line": "default,upload,analytics,maintenance", "studio": "render"}
CONCURRENCY = {"line": 2, "studio": 1}
STOP_SECONDS = 20.0
RESTARTS = 3


class Crew:
    """Worker processes that live as long as a `with` block.

    Their log is in the data folder's `logs`. They end by themselves when nothing is left to do,
    so that a killed demo leaves no worker behind for good.
    """

    def __init__(self, settings: Settings) -> None:
        self._logs = settings.data_dir / "logs"
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts = 0

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        for post in POSTS:
            self._start(post)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers.values():
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self._workers.values():
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def keep_going(self) -> None:
        """Start a worker again that ended while there is work; give up after a few times."""
        for post, worker in self._workers.items():
            code = worker.poll()
            if code is None:
                continue
            if code != 0:
                self._restarts += 1
                if self._restarts > RESTARTS:
                    raise CommandError(
                        f"the {post} worker keeps ending with code {code}; "
                        f"see {self._log(post)}. The next call goes on from here"
                    )
            self._start(post)

    def _start(self, post: str) -> None:
        program = Path(sys.executable).with_name("ytempire")
        with self._log(post).open("ab") as log:
            self._workers[post] = subprocess.Popen(
                [
                    str(program),
                    "worker",
                    f"--queues={POSTS[post]}",
                    f"--concurrency={CONCURRENCY[post]}",
                    f"--name=demo-{post}",
                    "--until-idle",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the demo, which then asks its workers to put down their work.
                start_new_session=True,
            )

    def _log(self, post: str) -> Path:
        return self._logs / f"demo-{post}.log"
