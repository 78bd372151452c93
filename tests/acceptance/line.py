"""The command line as an operator uses it: real processes, a real database, embedded parts."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = Path(sys.executable).with_name("ytempire")
FACTS = (
    "Octopuses have three hearts, and two of them pump blood through the gills.",
    "Their blood is blue, because it carries oxygen with copper instead of iron.",
)
TIMEOUT_SECONDS = 120


@dataclass
class Line:
    """One installation: its data folder, its database, its commands."""

    data_dir: Path
    database_url: str | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        given = {
            "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
            "HOME": str(self.data_dir),
            "YTEMPIRE_DATA_DIR": str(self.data_dir),
            "LANG": "C.UTF-8",
        }
        if self.database_url:
            given["DATABASE_URL"] = self.database_url
        return given | self.settings

    def run(self, *arguments: str, code: int = 0, **options: Any) -> str:
        """Run a command to its end; its stdout. Fails unless it ends with `code`."""
        done = self.attempt(*arguments, **options)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def refuse(self, *arguments: str, code: int, **options: Any) -> str:
        """Run a command that must end with `code`; its stderr."""
        done = self.attempt(*arguments, **options)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def attempt(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            cwd=self.data_dir,
            **options,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def start_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A worker in the background, with its log in the data folder."""
        log = (self.data_dir / f"worker-{len(self.workers)}.log").open("wb")
        with log:
            worker = subprocess.Popen(
                [str(PROGRAM), "worker", *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def add_small_channel(self, name: str = "small", *arguments: str) -> None:
        """A channel of 360p, so that the machine's time goes into what is tested."""
        self.run("channel", "add", name, "--resolution", "360p", *arguments)

    def start_small_run(self, *arguments: str, channel: str = "small") -> str:
        """A run of a few seconds of film; its id."""
        facts = self.data_dir / "facts.txt"
        facts.write_text("\n".join(FACTS), encoding="utf-8")
        started = self.json(
            "run", "start", "--channel", channel, "--topic", "The octopus", "--facts", str(facts),
            *arguments,
        )  # fmt: skip
        return str(started["execution_id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
