"""What the vendors charge: dated data (`prices.json`), and the exact cost of one call.

A table maps service to model to price entries; the entry in force is the latest whose `since` is
not after the day of the call. A file of one's own replaces the entries of the models it names.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MICRO_DOLLAR = Decimal("0.000001")
MILLION = Decimal(1_000_000)

# A dated snapshot (`gpt-6-sol-2026-09-15`) costs what its model costs.
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}\Z")

Money = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date


class TokenPrice(_Entry):
    """US dollars for a million tokens; what is not priced apart costs as input.

    Above `long_input_tokens` of input the whole call costs the stated multiples, and so does a
    service tier other than the standard one.
    """

    input: Money
    cached_input: Money | None = None
    cache_write: Money | None = None
    output: Money
    long_input_tokens: int = 272_000
    long_input_factor: Money = Decimal(2)
    long_output_factor: Money = Decimal("1.5")
    tiers: Mapping[str, Money] = {"flex": Decimal("0.5"), "priority": Decimal(2)}


class CharacterPrice(_Entry):
    """US dollars for a thousand charged characters; `factor` is how many the vendor charges for
    one of the text, for calls whose answer does not say it."""

    per_1000_characters: Money
    factor: Money = Decimal(1)

    @property
    def rate(self) -> Decimal:
        """US dollars for one charged character."""
        return self.per_1000_characters / 1000


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    openai: Mapping[str, Sequence[TokenPrice]] = {}
    elevenlabs: Mapping[str, Sequence[CharacterPrice]] = {}


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens as OpenAI counts them: `input` includes `cached` and `cache_write`, `output` includes
    `reasoning`."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


P = TypeVar("P", TokenPrice, CharacterPrice)


class PriceTable:
    """The prices by service and model."""

    def __init__(self, table: _Table) -> None:
        self._table = table

    @classmethod
    def load(cls, overrides: Path | None = None) -> "PriceTable":
        """The shipped table, with the models of `overrides` (the same format) in place of its own.

        Raises `ValueError`, which says what is wrong with the file, when it cannot be used.
        """
        shipped = resources.files("pipeline.providers") / "prices.json"
        table = _Table.model_validate_json(shipped.read_bytes())
        if overrides is None:
            return cls(table)
        try:
            own = _Table.model_validate(json.loads(overrides.read_bytes()))
        except OSError as error:
            raise ValueError(f"{overrides}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{overrides}: {where}: {first['msg']}") from None
        except ValueError as error:
            raise ValueError(f"{overrides} is not JSON: {error}") from None
        return cls(
            _Table(
                openai={**table.openai, **own.openai},
                elevenlabs={**table.elevenlabs, **own.elevenlabs},
            )
        )

    def tokens(self, model: str, day: date) -> TokenPrice | None:
        """The price of an OpenAI model on a day; None when the table does not know it."""
        return _in_force(self._table.openai, model, day)

    def characters(self, model: str, day: date) -> CharacterPrice | None:
        """The price of an ElevenLabs model on a day; None when the table does not know it."""
        return _in_force(self._table.elevenlabs, model, day)

    @property
    def openai_models(self) -> list[str]:
        return sorted(self._table.openai)

    @property
    def elevenlabs_models(self) -> list[str]:
        return sorted(self._table.elevenlabs)


def token_cost(usage: TokenUsage, price: TokenPrice, *, tier: str | None = None) -> Decimal:
    """US dollars for one call, exact, then rounded half up to the micro-dollar."""
    cached = price.input if price.cached_input is None else price.cached_input
    written = price.input if price.cache_write is None else price.cache_write
    plain = usage.input - usage.cached - usage.cache_write
    reading = plain * price.input + usage.cached * cached + usage.cache_write * written
    writing = usage.output * price.output
    if usage.input > price.long_input_tokens:
        reading *= price.long_input_factor
        writing *= price.long_output_factor
    amount = (reading + writing) / MILLION * price.tiers.get(tier or "", Decimal(1))
    return amount.quantize(MICRO_DOLLAR, ROUND_HALF_UP)


def character_cost(units: Decimal, price: CharacterPrice) -> Decimal:
    """US dollars for so many charged characters, rounded half up to the micro-dollar."""
    return (units * price.rate).quantize(MICRO_DOLLAR, ROUND_HALF_UP)


def _in_force(entries: Mapping[str, Sequence[P]], model: str, day: date) -> P | None:
    dated = entries.get(model) or entries.get(_SNAPSHOT.sub("", model)) or ()
    return max((e for e in dated if e.since <= day), key=lambda e: e.since, default=None)
