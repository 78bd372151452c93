"""Sealing every stored secret anew with the first of our keys, while everybody works.

Nothing is locked for longer than a batch, and nothing is kept of how far it came: what is sealed
with another key is what is left to do. A secret that changes meanwhile is left to whoever changed
it, and looked at again in the next round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from db.pool import Pool, acquired, transaction
from db.repositories.envelopes import Envelopes, KeyCount, Place, SealedRow
from pipeline.errors import Waiting
from workers.secrets import SecretKeys

BATCH = 100
ROUNDS = 10  # a process that still seals with another key would keep us busy for ever
_FIRST = UUID(int=0)


@dataclass(slots=True)
class Rotation:
    """What was sealed anew, and what none of our keys opens."""

    resealed: dict[str, int] = field(default_factory=dict)
    failed: list[tuple[str, UUID, str]] = field(default_factory=list)


async def count_keys(pool: Pool) -> list[KeyCount]:
    """How many envelopes each key seals, by place."""
    async with acquired(pool) as connection:
        return list(await Envelopes(connection).count_keys())


async def reseal_all(
    pool: Pool,
    keys: SecretKeys,
    *,
    batch: int = BATCH,
    progress: Callable[[str, int], None] = lambda place, count: None,
) -> Rotation:
    """Seal what other keys seal with the first one. A repeat goes on where an interrupted one was,
    and does nothing when all is done. `progress` hears the place and its rows after each batch."""
    rotation = Rotation()
    for place in Place:
        name = f"{place.table}.{place.column}"
        rotation.resealed[name] = 0
        for _ in range(ROUNDS):
            count, failed = await _round(pool, keys, place, batch, progress)
            rotation.resealed[name] += count
            if not count:
                break
        rotation.failed += [(name, row, error) for row, error in failed]
    return rotation


async def _round(
    pool: Pool,
    keys: SecretKeys,
    place: Place,
    batch: int,
    progress: Callable[[str, int], None],
) -> tuple[int, list[tuple[UUID, str]]]:
    """One pass over what is left; how many were sealed anew, and what could not be opened."""
    count, after = 0, _FIRST
    failed: list[tuple[UUID, str]] = []
    while True:
        async with transaction(pool) as connection:
            envelopes = Envelopes(connection)
            rows = await envelopes.list(place, key=keys.current, after=after, most=batch)
            for row in rows:
                try:
                    sealed = _anew(keys, place, row)
                except Waiting as error:
                    failed.append((row.id, str(error)))
                    continue
                count += await envelopes.replace(place, row=row, sealed=sealed)
        if not rows:
            return count, failed
        progress(f"{place.table}.{place.column}", count)
        after = rows[-1].id


def _anew(keys: SecretKeys, place: Place, row: SealedRow) -> Any:
    def again(envelope: dict[str, Any]) -> dict[str, Any]:
        text = keys.open(envelope, table=place.table, row=row.id, column=place.column)
        return keys.seal(text, table=place.table, row=row.id, column=place.column)

    return (
        [again(each) for each in row.sealed] if isinstance(row.sealed, list) else again(row.sealed)
    )
