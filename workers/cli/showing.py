"""Runs in words and tables, for people."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from db.repositories.steps import StepListed
from pipeline.hosting import Extra, ExtraStatus
from workers.runs.overview import Overview

STYLES = {
    "success": "green",
    "running": "cyan",
    "queued": "cyan",
    "retrying": "yellow",
    "waiting": "yellow",
    "failed": "red",
    "timeout": "red",
    "cancelled": "red",
}

EXTRA_STYLES = {
    ExtraStatus.DONE: "green",
    ExtraStatus.WAITS: "yellow",
    ExtraStatus.REFUSED: "red",
}


def show_overview(console: Console, overview: Overview, *, preview: str | None = None) -> None:
    """Print a run: what it is, where it stands, its steps and costs; `preview` is a link."""
    run = overview.run
    console.print(Text(run.title or "Untitled", style="bold"))
    console.print(Text(f"run      {run.id}"))
    console.print(Text(f"channel  {run.channel_name}"))
    console.print(Text("status   ") + Text(run.status, style=STYLES.get(run.status, "")))
    if run.error_message:
        console.print(Text(f"error    {run.error_message}"), soft_wrap=True)
    if run.next_retry_at:
        console.print(Text(f"next try {run.next_retry_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"))
    if run.youtube_url:
        console.print(Text(f"url      {run.youtube_url}"), soft_wrap=True)
    if preview:
        console.print(Text(f"review   {preview}"), soft_wrap=True)
    if run.path:
        console.print(Text(f"path     {run.path}"), soft_wrap=True)
    if overview.upload is not None and overview.upload.error_message:
        where = overview.upload.youtube_video_id or overview.upload.status
        console.print(Text(f"upload   {where}: {overview.upload.error_message}"), soft_wrap=True)
    for rejection in overview.rejections:
        told = f"to {rejection.step_name} by {rejection.by}: {rejection.reason}"
        console.print(Text(f"rejected {told}"), soft_wrap=True)
    console.print()
    console.print(steps_table(overview))
    for extra in overview.extras:
        console.print(_extra(extra), soft_wrap=True)
    console.print()
    console.print(costs_table(overview))


def steps_table(overview: Overview) -> Table:
    """One row a step, with how long it took."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("STEP", "STATUS", "ATTEMPT", "TIME", "ERROR"):
        table.add_column(column, justify="right" if column in ("ATTEMPT", "TIME") else "left")
    for step in overview.steps:
        table.add_row(
            step.step_name,
            Text(step.status, style=STYLES.get(step.status, "dim")),
            str(step.attempt or ""),
            _took(step),
            Text(step.error_message or ""),
        )
    return table


def _extra(extra: Extra) -> Text:
    """How far an extra of the published video is, in a line."""
    until = f" until {extra.until.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if extra.until else ""
    reason = f": {extra.reason}" if extra.reason else ""
    status = Text(f"{extra.status}{until}", style=EXTRA_STYLES[extra.status])
    return Text(f"{extra.name:<9}  ") + status + Text(reason)


def costs_table(overview: Overview) -> Table:
    """One row an operation and the total, in US dollars."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("COST", footer="total")
    table.add_column("OPERATION")
    table.add_column("CALLS", justify="right")
    table.add_column("UNITS", justify="right")
    table.add_column("US DOLLARS", justify="right", footer=f"{overview.run.cost:.6f}")
    for line in overview.costs:
        units = f"{line.units.normalize():f} {line.unit_type}" if line.units is not None else ""
        table.add_row(line.service, line.operation, str(line.calls), units, f"{line.amount:.6f}")
    return table


def _took(step: StepListed) -> str:
    if step.started_at is None:
        return ""
    end = step.completed_at or datetime.now(UTC)
    return f"{(end - step.started_at).total_seconds():.1f} s"
