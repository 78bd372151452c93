"""Every sealed envelope in the database, for those who seal them anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("envelope")


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row's column: an envelope, or a list of them."""

    id: UUID
    sealed: Any


@dataclass(frozen=True, slots=True)
class KeyCount:
    """How many envelopes of a place (`table.column`) a key seals."""

    place: str
    key: str
    n: int


class Place(Enum):
    """Where envelopes are: table, column, and the ends of its statements' names."""

    ACCOUNTS = ("youtube_accounts", "credentials", "accounts", "account")
    UPLOADS = ("video_uploads", "session_uri", "uploads", "upload")
    API_KEYS = ("api_keys", "signing_secrets", "api_keys", "api_key")

    @property
    def table(self) -> str:
        return self.value[0]

    @property
    def column(self) -> str:
        return self.value[1]


ROWS = {
    "envelope_list_accounts": SealedRow,
    "envelope_list_uploads": SealedRow,
    "envelope_list_api_keys": SealedRow,
    "envelope_count_keys": KeyCount,
}


class Envelopes:
    """Statements of `envelope.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(
        self, place: Place, *, key: str, after: UUID, most: int
    ) -> "Sequence[SealedRow]":
        """Rows after this id that another key than `key` seals."""
        rows = await _SQL[f"envelope_list_{place.value[2]}"].many(
            self._connection, key=key, after=after, most=most
        )
        return [SealedRow(**row) for row in rows]

    async def replace(self, place: Place, *, row: SealedRow, sealed: Any) -> bool:
        """Put `sealed` in the place of what was read; False when that has changed since."""
        replaced = await _SQL[f"envelope_replace_{place.value[3]}"].exec(
            self._connection, id=row.id, former=row.sealed, sealed=sealed
        )
        return bool(replaced)

    async def count_keys(self) -> "Sequence[KeyCount]":
        rows = await _SQL["envelope_count_keys"].many(self._connection)
        return [KeyCount(**row) for row in rows]
