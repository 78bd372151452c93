"""Receipts of requests that must not be done twice: `webhook_receipts`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("receipt")


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """What makes a request the same: who sent it where, under which key of which kind."""

    api_key_id: UUID
    kind: Literal["idempotency_key", "webhook_id"]
    endpoint: str
    idempotency_key: str

    def arguments(self) -> dict[str, Any]:
        return {
            "api_key_id": self.api_key_id,
            "kind": self.kind,
            "endpoint": self.endpoint,
            "idempotency_key": self.idempotency_key,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    request_hash: str
    response_status: int
    response_body: Mapping[str, Any]


ROWS = {"receipt_get": Receipt}


class Receipts:
    """Statements of `receipt.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(self, key: ReceiptKey, *, request_hash: str) -> bool:
        """True: the request is new, and ours to do. False: it was done. Waits while another
        transaction is doing it."""
        row = await _SQL["receipt_claim"].maybe(
            self._connection, **key.arguments(), request_hash=request_hash
        )
        return row is not None

    async def get(self, key: ReceiptKey) -> Receipt:
        return Receipt(**await _SQL["receipt_get"].one(self._connection, **key.arguments()))

    async def set_answer(self, key: ReceiptKey, *, status: int, body: Mapping[str, Any]) -> None:
        await _SQL["receipt_set_answer"].exec(
            self._connection, **key.arguments(), response_status=status, response_body=body
        )

    async def delete_old(self, *, older_than_seconds: float, most: int) -> int:
        """How many went."""
        return await _SQL["receipt_delete_old"].exec(
            self._connection, older_than_seconds=older_than_seconds, most=most
        )
