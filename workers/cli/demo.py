"""`ytempire demo`: the whole line on this machine, from a file of topics to published videos."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.text import Text

from db.pool import Pool, transaction
from db.repositories.channels import Channels
from db.repositories.executions import Executions
from pipeline.domain import ExecutionStatus
from pipeline.providers.topics import TopicsFile
from workers.channels import NewChannel, add_local_channel
from workers.cli.crew import Crew
from workers.cli.output import CommandError, ExitCode, run_async, stderr, stdout
from workers.cli.session import session
from workers.cli.showing import costs_table, steps_table
from workers.cli.trend import print_problems
from workers.cli.watching import Ended, watch_runs
from workers.runs.starting import RunRequest, start_run
from workers.settings import Settings
from workers.topics import import_topics, list_free_topics

# In the wheel, else in the checkout.
EXAMPLES = (
    Path(__file__).parents[1] / "examples" / "topics.csv",
    Path(__file__).parents[2] / "examples" / "topics.csv",
)
COMPANIONS = (".mp4", ".jpg", ".srt", ".vtt")


def demo(
    videos: Annotated[int, typer.Option(min=1, max=100, help="How many to make.")] = 1,
    topics: Annotated[
        Path | None, typer.Option(help="Your topics and facts: CSV, JSON or RSS.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Copy the finished files here too.")] = None,
    vertical: Annotated[bool, typer.Option("--vertical", help="9:16 instead of 16:9.")] = False,
) -> None:
    """Make videos on embedded parts: no key, no account, no server."""
    if out is not None:
        _require_writable(out)
    file = topics if topics is not None else next(filter(Path.exists, EXAMPLES))
    source = TopicsFile(file).read()
    print_problems(file, source.problems)
    if not source.topics:
        raise CommandError(f"no usable topic in {file}")

    async def command() -> tuple[list[Ended], Path]:
        async with session() as opened:
            with _alone(opened.settings):
                imported = await import_topics(opened.pool, source.topics)
                if imported.added:
                    stderr().print(f"imported {imported.added} topics from {file}", markup=False)
                channel = await _channel(opened.pool, vertical=vertical)
                runs = await _runs(opened.pool, channel, videos, source.topics, file)
                with Crew(opened.settings) as crew:
                    ended = await watch_runs(opened.pool, runs, each=crew.keep_going)
            return ended, opened.settings.published_folder / "index.html"

    ended, page = run_async(command)
    for run in ended:
        _show(run, out)
    if page.exists():
        stdout().print(Text(f"\nall your videos: {page}"), soft_wrap=True)
    failed = sum(run.status != ExecutionStatus.SUCCESS for run in ended)
    if failed:
        raise CommandError(f"{failed} of {len(ended)} runs did not succeed; see above")


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One demo a data folder: two would take each other's runs for their own."""
    path = settings.data_dir / "demo.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"another demo is running in {settings.data_dir} (process {lock.read().strip()}); "
                "wait for it, or set YTEMPIRE_DATA_DIR to another folder",
                ExitCode.TRY_AGAIN,
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


async def _channel(pool: Pool, *, vertical: bool) -> UUID:
    name = "demo-vertical" if vertical else "demo"
    async with transaction(pool) as connection:
        row = await Channels(connection).find(name_or_id=name)
        if row is None:
            row = await add_local_channel(connection, NewChannel(name=name, vertical=vertical))
        return row.id


async def _runs(
    pool: Pool, channel: UUID, videos: int, topics: Sequence[object], file: Path
) -> list[UUID]:
    """What an interrupted call left unfinished, and new runs until there are `videos`."""
    async with transaction(pool) as connection:
        unfinished = await Executions(connection).list_active(channel_id=channel)
    if unfinished:
        stderr().print(f"going on with {len(unfinished)} unfinished run(s)")
    wanted = videos - len(unfinished)
    if wanted <= 0:
        return unfinished
    free = await list_free_topics(pool, topics)  # type: ignore[arg-type]
    if not free and not unfinished:
        raise CommandError(
            f"every topic of {file} has its video already; give others with --topics"
        )
    if len(free) < wanted:
        stderr().print(f"only {len(free)} topics of {file} are left", style="yellow", markup=False)
    started = []
    for trend_id in free[:wanted]:
        async with transaction(pool) as connection:
            request = RunRequest(channel=str(channel), trend_id=trend_id)
            started.append((await start_run(connection, request)).execution_id)
    return unfinished + started


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--out {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise CommandError(f"--out {folder} is not writable")


def _show(run: Ended, out: Path | None) -> None:
    console = stdout()
    overview = run.overview
    console.print()
    console.print(Text(overview.run.title or "Untitled", style="bold"))
    if run.error:
        console.print(Text(run.error, style="red"), soft_wrap=True)
    if overview.run.path is not None:
        for file in _files(Path(overview.run.path), out):
            console.print(Text(str(file)), soft_wrap=True)
    console.print(steps_table(overview))
    console.print(costs_table(overview))


def _files(video: Path, out: Path | None) -> list[Path]:
    """The video and its companions, as published or as copied to `out`."""
    files = [video.with_suffix(suffix) for suffix in COMPANIONS]
    files = [file for file in files if file.exists()]
    if out is not None:
        files = [Path(shutil.copy2(file, out)).absolute() for file in files]
    return files
