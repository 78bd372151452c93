"""Calls that cost money, as the ledger keeps them: what is sent, what came back, what it means."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pipeline.domain import Charge

Note = Callable[[str], Awaitable[None]]
"""Keeps the name that the vendor gave to a call, as soon as it is known."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call before it is made.

    `content` is everything that is sent, as JSON values: with the operation and the shard it says
    which call this is, in every process. `occasion` tells apart calls that send the same on
    purpose (0, 1, ...). `most` is the most it may cost in US dollars, 0 for a vendor that charges
    nothing. After `patience` seconds nobody waits for its answer any more.
    """

    service: str
    operation: str
    content: Mapping[str, Any]
    most: Decimal
    patience: float
    shard: int = 0
    occasion: int = 0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What the vendor sent, untouched. Header names are in lower case; `at` is when it came."""

    body: bytes
    headers: Mapping[str, str]
    milliseconds: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means for the books.

    `reference` is the vendor's own name for the call. An answer that is charged and of no use to
    anybody is not `reusable`: a repeat asks anew.
    """

    charge: Charge
    reference: str | None = None
    reusable: bool = True


@dataclass(frozen=True, slots=True)
class SoughtCall:
    """A call that may have been made: when, the vendor's name for it if it told, and the names
    under which other calls are booked already."""

    id: UUID
    begun: datetime
    reference: str | None = None
    booked: frozenset[str] = field(default_factory=frozenset)


class Absence(StrEnum):
    """Why a look-up brings no answer."""

    NOT_MADE = "not_made"
    """The vendor has not done this work."""

    CANNOT_TELL = "cannot_tell"
    """The vendor has no way to ask for this call."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A call's answer and its charge, made now or earlier."""

    answer: RawAnswer
    charge: Charge
