"""`ytempire account rotate-keys`: every stored secret sealed anew."""

from typing import Annotated, Any

import typer

from db.repositories.envelopes import KeyCount
from workers.accounts.key_rotation import BATCH, Rotation, count_keys, reseal_all
from workers.cli.output import ExitCode, JsonFlag, print_json, print_table, run_async, stderr
from workers.cli.session import session
from workers.secrets import secret_keys

app = typer.Typer()


@app.command("rotate-keys")
def rotate_keys(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say only what is to do.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Rows a transaction.")] = BATCH,
    json: JsonFlag = False,
) -> None:
    """Seal every stored secret with the first of YTEMPIRE_SECRET_KEYS; workers go on meanwhile.

    An interrupted one is simply begun again. A secret that no key of ours opens is named, and the
    exit code is 1.
    """

    async def command() -> tuple[str, list[KeyCount], Rotation]:
        async with session() as opened:
            keys = secret_keys(opened.settings)
            if dry_run:
                return keys.current, await count_keys(opened.pool), Rotation()
            rotation = await reseal_all(
                opened.pool,
                keys,
                batch=batch,
                progress=lambda place, count: stderr().print(f"{place}: {count}", markup=False),
            )
            return keys.current, await count_keys(opened.pool), rotation

    current, counts, rotation = run_async(command)
    if json:
        print_json(_shown(current, counts, rotation, dry_run=dry_run))
    else:
        print_table(
            ("SECRETS IN", "KEY", "ENVELOPES", ""),
            (
                (each.place, each.key, each.n, "" if each.key == current else "not the first key")
                for each in counts
            ),
            empty="no secret is stored yet",
        )
        for place, row, error in rotation.failed:
            stderr().print(f"{place} of {row}: {error}", markup=False)
        left = sum(each.n for each in counts if each.key != current)
        typer.echo(
            f"{left} envelopes are to be sealed with key {current!r}"
            if dry_run
            else f"{sum(rotation.resealed.values())} rows were sealed with key {current!r};"
            f" {left} envelopes of other keys are left"
        )
    if rotation.failed:
        raise typer.Exit(ExitCode.FAILED)


def _shown(
    current: str, counts: list[KeyCount], rotation: Rotation, *, dry_run: bool
) -> dict[str, Any]:
    return {
        "key": current,
        "dry_run": dry_run,
        "envelopes": [{"place": each.place, "key": each.key, "count": each.n} for each in counts],
        "resealed": rotation.resealed,
        "failed": [
            {"place": place, "id": row, "error": error} for place, row, error in rotation.failed
        ],
    }
