"""`ytempire trend`: topics on offer."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from db.pool import transaction
from db.repositories.trends import TrendListed, Trends
from pipeline.providers.topics import Problem, TopicsFile
from workers.cli.output import (
    CommandError,
    ExitCode,
    JsonFlag,
    as_items,
    print_json,
    print_table,
    run_async,
    short,
    stderr,
)
from workers.cli.session import session
from workers.ingest import Ingested, chosen_feeds, ingest
from workers.logs import configure_logs
from workers.registry import FEEDS
from workers.topics import Imported, import_topics

app = typer.Typer(help="Trends: the topics that videos are made of.", no_args_is_help=True)

STATUSES = ("new", "analyzing", "qualified", "used", "rejected", "expired")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSON or RSS; see docs/how-to/own-topics.md.")],
    json: JsonFlag = False,
) -> None:
    """Import your own topics and facts; a bad row is named and the others go in."""
    read = TopicsFile(file).read()
    print_problems(file, read.problems)

    async def command() -> Imported:
        async with session() as opened:
            return await import_topics(opened.pool, read.topics)

    imported = run_async(command)
    if json:
        print_json(
            {
                "added": imported.added,
                "updated": imported.updated,
                "used": imported.used,
                "problems": [{"line": p.line, "reason": p.reason} for p in read.problems],
            }
        )
    else:
        typer.echo(
            f"{imported.added} new, {imported.updated} brought up to date, "
            f"{imported.used} already made into a video, {len(read.problems)} refused"
        )
    if not read.topics:
        raise CommandError(f"no usable topic in {file}")


@app.command("ingest")
def ingest_(
    source: Annotated[
        list[str] | None,
        typer.Option(help=f"Only these feeds: {', '.join(FEEDS)}. Default: those in the settings."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Read the feeds now; a feed that fails is named and the others go in."""
    for name in source or ():
        if name not in FEEDS:
            raise CommandError(
                f"{name!r} is no feed; give one of {', '.join(FEEDS)}", ExitCode.USAGE
            )

    async def command() -> list[Ingested]:
        async with session() as opened:
            configure_logs(opened.settings.log_format, level=logging.WARNING)
            names = tuple(dict.fromkeys(source)) if source else chosen_feeds(opened.settings)
            if not names:
                raise CommandError(
                    "no feed is chosen: set YTEMPIRE_TREND_SOURCES, or give --source",
                    ExitCode.USAGE,
                )
            return await ingest(opened.pool, opened.settings, names)

    results = run_async(command)
    if json:
        print_json(as_items(results))
    else:
        print_table(
            ("SOURCE", "FOUND", "NEW", "UPDATED", "LEFT OUT", "WITH FACTS"),
            (
                (r.source, r.found, r.added, r.updated, r.left_out, r.qualified)
                for r in results
                if r.error is None
            ),
            empty="",
        )
    for result in results:
        if result.error is not None:
            stderr().print(f"{result.source}: {result.error}", style="yellow", markup=False)
    if all(result.error for result in results):
        raise CommandError("no feed could be read; see above")


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(STATUSES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: JsonFlag = False,
) -> None:
    """List topics, best first."""
    if status is not None and status not in STATUSES:
        raise CommandError(
            f"{status!r} is no status; give one of {', '.join(STATUSES)}", ExitCode.USAGE
        )

    async def command() -> list[TrendListed]:
        async with session() as opened, transaction(opened.pool) as connection:
            return await Trends(connection).list(status=status, limit=limit)

    rows = run_async(command)
    if json:
        print_json(as_items(rows))
        return
    print_table(
        ("ID", "TOPIC", "NICHE", "LANGUAGE", "FACTS", "SOURCE", "SCORE", "STATUS"),
        (
            (
                short(row.id),
                row.topic,
                row.category,
                row.source_metadata.get("language", "en"),
                len(row.source_metadata.get("facts", ())),
                row.source,
                f"{row.opportunity_score:.2f}",
                row.status,
            )
            for row in rows
        ),
        empty="no topics yet: ytempire trend import FILE, or ytempire trend ingest",
    )


def print_problems(file: Path, problems: tuple[Problem, ...]) -> None:
    """Name each refused row on stderr."""
    for problem in problems:
        stderr().print(f"{file}:{problem.line}: {problem.reason}", style="yellow", markup=False)
