"""`ytempire doctor`: would the line work now?"""

from __future__ import annotations

import typer

from workers.cli.output import ExitCode, JsonFlag, print_json, run_async, stdout
from workers.cli.session import read_settings
from workers.doctor.examination import Report, examine
from workers.doctor.finding import Finding, Level

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def doctor(as_json: JsonFlag = False) -> None:
    """Check database, queue, disk, clock and each chosen vendor, without spending anything.

    Ends with 5 when something keeps the line from working.
    """
    settings = read_settings()

    async def command() -> Report:
        return await examine(settings)

    report = run_async(command)
    if as_json:
        print_json(report.document())
    else:
        for finding in report.findings:
            _print(finding)
        stdout().print("healthy" if report.healthy else "unhealthy")
    if not report.healthy:
        raise typer.Exit(ExitCode.UNHEALTHY)


def _print(finding: Finding) -> None:
    console = stdout()
    console.print(f"{finding.level.value:8}", style=STYLES[finding.level], end="")
    console.print(f"{finding.check:12} {finding.message}", markup=False, soft_wrap=True)
    if finding.command:
        console.print(f"{'':21}{finding.command}", markup=False, soft_wrap=True)
