"""Follow runs: a live table on a terminal, plain lines elsewhere."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from db.errors import Unavailable
from db.pool import Pool, transaction
from pipeline.domain import StageName
from workers.cli.output import short, stderr
from workers.cli.showing import STYLES
from workers.runs.overview import Overview, load_overview

POLL_SECONDS = 0.25
LINE_EVERY_PART = 0.1
BAR_CELLS = 20

_MARKS = {"success": "●", "running": "◐", "retrying": "◌", "waiting": "◌", "failed": "✗"}


class Ended:
    """How a watched run ended."""

    def __init__(self, overview: Overview) -> None:
        self.id: UUID = overview.run.id
        self.status = overview.run.status
        self.error = overview.run.error_message
        self.overview = overview


class _View(Protocol):
    def update(self, overviews: Sequence[Overview]) -> None: ...


async def watch_runs(
    pool: Pool, runs: Sequence[UUID], *, each: Callable[[], None] | None = None
) -> list[Ended]:
    """Show how the runs go on until all of them have ended or wait for a person.

    `each` is called at every look; what it raises ends the watching. A database that is away for
    a while is waited for.
    """
    console = stderr()
    if console.is_terminal:
        with Live(console=console, refresh_per_second=8, transient=True) as live:
            overviews = await _follow(pool, runs, _LiveView(live), each)
    else:
        overviews = await _follow(pool, runs, _LineView(console), each)
    return [Ended(overview) for overview in overviews]


async def _follow(
    pool: Pool, runs: Sequence[UUID], view: _View, each: Callable[[], None] | None
) -> list[Overview]:
    while True:
        try:
            async with transaction(pool) as connection:
                overviews = [await load_overview(connection, run) for run in runs]
        except Unavailable:
            await asyncio.sleep(1)
            continue
        view.update(overviews)
        if all(overview.ended or overview.run.status == "waiting" for overview in overviews):
            return overviews
        if each is not None:
            each()
        await asyncio.sleep(POLL_SECONDS)


class _LiveView:
    """A table that is drawn again in place: one row a run."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def update(self, overviews: Sequence[Overview]) -> None:
        table = Table(box=None, pad_edge=False, show_header=False)
        for overview in overviews:
            table.add_row(
                Text(short(overview.run.id), style="dim"),
                _stages(overview),
                _bar(overview),
                Text(overview.run.title or "", overflow="ellipsis", no_wrap=True),
            )
        self._live.update(table)


def _stages(overview: Overview) -> Text:
    text = Text()
    for step in overview.steps:
        style = STYLES.get(step.status, "dim")
        text.append(f"{_MARKS.get(step.status, '○')} {step.step_name}  ", style=style)
    return text


def _bar(overview: Overview) -> Text:
    part = _part(overview)
    if part is None:
        return Text(overview.run.status, style=STYLES.get(overview.run.status, ""))
    full = round(part * BAR_CELLS)
    return Text("━" * full, style="cyan") + Text("━" * (BAR_CELLS - full) + f" {part:4.0%}", "dim")


def _part(overview: Overview) -> float | None:
    part = overview.run.state.get("progress")
    return float(part) if part is not None and overview.run.status == "running" else None


class _LineView:
    """A line for each change of a step and each tenth of a long one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[tuple[UUID, str], str] = {}
        self._parts: dict[UUID, float] = {}

    def update(self, overviews: Sequence[Overview]) -> None:
        for overview in overviews:
            run = overview.run
            for step in overview.steps:
                if self._seen.get((run.id, step.step_name), "pending") != step.status:
                    self._seen[run.id, step.step_name] = step.status
                    self._parts.pop(run.id, None)
                    error = f": {step.error_message}" if step.error_message else ""
                    self._say(run.id, step.step_name, f"{step.status}{error}")
            part = _part(overview)
            if part is not None and part - self._parts.get(run.id, 0.0) >= LINE_EVERY_PART:
                self._parts[run.id] = part
                self._say(run.id, run.current_step or "", f"{part:.0%}")

    def _say(self, run: UUID, step: str, what: str) -> None:
        width = max(len(stage) for stage in StageName)
        self._console.print(f"{short(run)}  {step:<{width}}  {what}", markup=False)
