"""Costs are exact to the micro-dollar, by the price in force on the day of the call."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.providers.prices import (
    CharacterPrice,
    PriceTable,
    TokenPrice,
    TokenUsage,
    character_cost,
    token_cost,
)

DAY = date(2026, 11, 20)
SOL = TokenPrice(
    since=date(2026, 9, 1),
    input=Decimal(2),
    cached_input=Decimal("0.2"),
    cache_write=Decimal("2.5"),
    output=Decimal(10),
)


@pytest.mark.parametrize(
    ("usage", "tier", "cost"),
    [
        (TokenUsage(input=1_000, output=500), None, "0.007000"),
        (TokenUsage(input=1_000, cached=400, output=500, reasoning=300), "default", "0.006280"),
        (TokenUsage(input=1_000, cached=400, cache_write=100, output=0), None, "0.001330"),
        (TokenUsage(input=1_000, output=500), "flex", "0.003500"),
        (TokenUsage(input=1_000, output=500), "priority", "0.014000"),
        (TokenUsage(input=272_000, output=1_000), None, "0.554000"),
        (TokenUsage(input=272_001, output=1_000), None, "1.103004"),
        (TokenUsage(), None, "0.000000"),
    ],
)
def test_tokens_cost_what_the_table_says(usage: TokenUsage, tier: str | None, cost: str) -> None:
    assert token_cost(usage, SOL, tier=tier) == Decimal(cost)


def test_half_a_micro_dollar_is_rounded_up() -> None:
    luna = PriceTable.load().tokens("gpt-6-luna", DAY)
    assert luna is not None
    assert token_cost(TokenUsage(input=50, cached=50), luna) == Decimal("0.000001")
    assert token_cost(TokenUsage(input=49, cached=49), luna) == Decimal("0.000000")


def test_what_is_not_priced_apart_costs_as_input() -> None:
    price = TokenPrice(since=DAY, input=Decimal(10), output=Decimal(50))
    assert token_cost(TokenUsage(input=3, cached=1, cache_write=1), price) == Decimal("0.000030")


def test_characters_cost_units_times_rate() -> None:
    price = CharacterPrice(since=DAY, per_1000_characters=Decimal("0.08"))
    assert price.rate == Decimal("0.00008")
    assert character_cost(Decimal(123), price) == Decimal("0.009840")


def test_snapshot_costs_what_its_model_costs() -> None:
    table = PriceTable.load()
    assert table.tokens("gpt-6-sol-2026-09-15", DAY) == table.tokens("gpt-6-sol", DAY) == SOL
    assert table.tokens("llama4", DAY) is None
    assert table.characters("eleven_v4", date(2026, 9, 1)) is None


def test_own_file_replaces_the_models_it_names_by_date(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    old = {"since": "2026-01-01", "input": "1", "output": "2"}
    new = {"since": "2026-11-20", "input": "3", "output": "4"}
    file.write_text(json.dumps({"openai": {"gpt-6-sol": [new, old], "house": [old]}}))
    table = PriceTable.load(file)
    changed, before = table.tokens("gpt-6-sol", DAY), table.tokens("gpt-6-sol", date(2026, 11, 19))
    assert changed is not None
    assert before is not None
    assert (changed.input, before.input) == (3, 1)
    assert table.tokens("house", DAY) is not None
    assert table.tokens("gpt-6-luna", DAY) == PriceTable.load().tokens("gpt-6-luna", DAY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "not JSON"),
        ('{"openai": {"x": [{"since": "2026-01-01", "input": "-1", "output": "1"}]}}', "input"),
        (
            '{"openai": {"x": [{"since": "2026-01-01", "inptu": "1", "output": "1"}]}}',
            "inptu|input",
        ),
        ('{"opneai": {}}', "opneai"),
    ],
)
def test_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        PriceTable.load(file)
    assert str(file) in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.json: No such file"):
        PriceTable.load(tmp_path / "nowhere.json")
