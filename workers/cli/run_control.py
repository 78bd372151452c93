"""`ytempire run cancel|retry|reject`: what people decide about a run."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from db.pool import Connection, transaction
from pipeline.domain import StageName
from workers.cli.output import CommandError, ExitCode, JsonFlag, print_json, run_async, stdout
from workers.cli.queue_session import person
from workers.cli.run import run_id
from workers.cli.session import session
from workers.runs.control import cancel_run, reject_run
from workers.runs.overview import load_overview
from workers.runs.retry import RetryPlan, plan_retry, retry_run
from workers.runs.starting import RunConflict
from workers.runs.upload_ending import UploadLeft

T = TypeVar("T")

Run = Annotated[str, typer.Argument(help="The run's id, or its start.")]
LEFT = {
    UploadLeft.NOTHING: "nothing is at its host",
    UploadLeft.SETTLING: "a worker ends its upload; a video that is at the host already stays"
    " there, private: ytempire doctor lists it",
    UploadLeft.PUBLISHED: "its video is published and stays so",
}


def cancel(
    run: Run,
    reason: Annotated[str | None, typer.Option(help="Why; shown with the run.")] = None,
    json: JsonFlag = False,
) -> None:
    """Stop a run where it is. What it cost stays booked; what is at the host stays private."""

    async def operation(connection: Connection, id_: UUID) -> UploadLeft:
        return await cancel_run(connection, id_, by=person(), reason=reason)

    id_, left = _decide(run, operation)
    _tell(id_, f"cancelled run {id_}; {LEFT[left]}", json=json)


def reject(
    run: Run,
    reason: Annotated[str, typer.Option(help="Why; kept with the run.")],
    to_step: Annotated[
        StageName | None, typer.Option(help="Do this step and those after it again.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Turn down a run that waits for a person: it fails, or goes back to a step."""

    async def operation(connection: Connection, id_: UUID) -> None:
        await reject_run(connection, id_, by=person(), reason=reason, to_step=to_step)

    id_, _ = _decide(run, operation)
    became = "it has failed" if to_step is None else f"it goes on from {to_step}"
    _tell(id_, f"rejected run {id_}; {became}", json=json)


def retry(
    run: Run,
    from_step: Annotated[
        StageName | None, typer.Option(help="The first step to do again; default: where it stands.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done and paid again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Pay again without being asked.")] = False,
    json: JsonFlag = False,
) -> None:
    """Let a run go on that has failed, was cancelled, timed out or rests. What comes before the
    step is used as it is; what is paid again is said first, and asked for."""

    async def look(connection: Connection, id_: UUID) -> RetryPlan:
        return await plan_retry(connection, id_, from_step=from_step)

    async def operation(connection: Connection, id_: UUID) -> RetryPlan:
        return await retry_run(connection, id_, from_step=from_step)

    id_, plan = _decide(run, look)
    if not json:
        _show(plan)
    if dry_run:
        if json:
            print_json({**plan.document(), "dry_run": True})
        return
    if plan.estimate and not yes:
        typer.confirm(f"Pay about ${plan.estimate:.6f} again?", abort=True, err=True)
    _decide(run, operation)
    if json:
        print_json({**plan.document(), "dry_run": False})
    else:
        stdout().print(f"run {id_} goes on from {plan.from_step}")


def _show(plan: RetryPlan) -> None:
    console = stdout()
    console.print(f"kept     {', '.join(plan.kept) or 'nothing'}")
    console.print(f"again    {', '.join(plan.again) or plan.from_step}")
    for charge in plan.paid_again:
        if charge.amount:
            console.print(
                f"paid     {charge.step_name}: {charge.service} {charge.operation}, about"
                f" ${charge.amount:.6f} as last time"
            )
    if not plan.estimate:
        console.print("paid     nothing that was paid before is paid again")


def _decide(run: str, operation: Callable[[Connection, UUID], Awaitable[T]]) -> tuple[UUID, T]:
    """Do it in one transaction; a run that is in no state for it is a conflict."""

    async def command() -> tuple[UUID, T]:
        async with session() as opened, transaction(opened.pool) as connection:
            id_ = await run_id(connection, run)
            try:
                return id_, await operation(connection, id_)
            except RunConflict as error:
                raise CommandError(str(error), ExitCode.CONFLICT) from error

    return run_async(command)


def _tell(id_: UUID, text: str, *, json: bool) -> None:
    if not json:
        stdout().print(text, soft_wrap=True)
        return

    async def command() -> None:
        async with session() as opened, transaction(opened.pool) as connection:
            print_json((await load_overview(connection, id_)).document())

    run_async(command)
