"""One answer of the Responses API: what it cost first, then what it says."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from pipeline.domain import Charge
from pipeline.errors import Rejected, StageError, Transient
from pipeline.providers.openai_errors import SERVICE
from pipeline.providers.prices import PriceTable, TokenUsage, token_cost
from pipeline.providers.refusals import quoted

OPERATION = "script.write"


class Unusable(Exception):
    """The model's answer cannot become a script; asked again, it may."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """How calls are priced: as the model that answered, else as the one that was asked, else (a
    server of one's own) not at all."""

    table: PriceTable
    model: str


def envelope(body: bytes, media_type: str) -> dict[str, Any]:
    """The response object; `Transient` when the body is none: it came from something between."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and ("output" in answer or "usage" in answer):
        return answer
    raise Transient(
        f"what answered for OpenAI was no response of its API ({media_type or 'no media type'},"
        f" {len(body)} bytes): check OPENAI_BASE_URL, or what stands between"
    )


def usage_of(answer: dict[str, Any]) -> TokenUsage | None:
    """The tokens charged; None when the answer does not say."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    tokens = TokenUsage(
        input=_count(usage, "input_tokens"),
        cached=_count(read, "cached_tokens"),
        cache_write=_count(read, "cache_write_tokens"),
        output=_count(usage, "output_tokens"),
        reasoning=_count(written, "reasoning_tokens"),
    )
    # A server that counts otherwise must not make a call cheaper than nothing was cached.
    if tokens.cached + tokens.cache_write > tokens.input:
        return TokenUsage(input=tokens.input, output=tokens.output, reasoning=tokens.reasoning)
    return tokens


def charge_for(
    answer: dict[str, Any], *, pricing: Pricing, request_id: str | None, milliseconds: int,
    day: date, shard: int,
) -> Charge:  # fmt: skip
    """The call's charge: tokens in all, their split in the metadata, no single rate."""
    usage = usage_of(answer)
    model = quoted(answer.get("model") or pricing.model)
    tier = quoted(answer["service_tier"]) if answer.get("service_tier") else None
    price = pricing.table.tokens(model, day) or pricing.table.tokens(pricing.model, day)
    metadata = {"model": model}
    if tier:
        metadata["service_tier"] = tier
    amount = Decimal(0)
    if usage is None:
        metadata["usage"] = "not stated"
    elif price is None:
        metadata["price"] = "none"
    else:
        amount = token_cost(usage, price, tier=tier)
        metadata["price_since"] = price.since.isoformat()
    tokens = usage or TokenUsage()
    if usage is not None:
        metadata |= {
            "input_tokens": str(tokens.input),
            "cached_tokens": str(tokens.cached),
            "cache_write_tokens": str(tokens.cache_write),
            "output_tokens": str(tokens.output),
            "reasoning_tokens": str(tokens.reasoning),
        }
    return Charge(
        service=SERVICE,
        operation=OPERATION,
        amount=amount,
        units=Decimal(tokens.total),
        unit_type="tokens",
        request_id=quoted(request_id)[:100] if request_id else None,
        response_time_ms=milliseconds,
        shard=shard,
        metadata=metadata,
    )


def is_over_without_answer(answer: dict[str, Any]) -> bool:
    """Whether the service itself gave up: the same response will never hold an answer."""
    return quoted(answer.get("status")) in {"failed", "cancelled"}


def text_of(answer: dict[str, Any]) -> str:
    """The text of the answer.

    Raises `Rejected` for a refusal or filtered content, `Transient` when the service failed,
    `Unusable` for an answer that is cut short or has no text.
    """
    parts = [
        part
        for item in _list(answer.get("output"))
        if isinstance(item, dict) and item.get("type") == "message"
        for part in _list(item.get("content"))
        if isinstance(part, dict)
    ]
    for part in parts:
        if part.get("type") == "refusal":
            raise Rejected(f"OpenAI's model refused: {quoted(part.get('refusal'))}")
    if is_over_without_answer(answer):
        raise _failure(answer)
    if quoted(answer.get("status")) == "incomplete":
        details = answer.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if reason == "content_filter":
            raise Rejected("OpenAI's content filter stopped the script")
        raise Unusable(f"it was cut short ({quoted(reason)}); be briefer")
    text = "".join(str(part.get("text", "")) for part in parts if part.get("type") == "output_text")
    if not text.strip():
        raise Unusable("it was empty")
    return text


def _failure(answer: dict[str, Any]) -> StageError:
    error = answer.get("error")
    told = error if isinstance(error, dict) else {}
    message = f"OpenAI could not finish the answer: {quoted(told.get('message'))}"
    if quoted(told.get("code")) in {"invalid_prompt", "content_policy_violation"}:
        return Rejected(message)
    return Transient(message)


def _count(numbers: Any, name: str) -> int:
    value = numbers.get(name) if isinstance(numbers, dict) else None
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else 0
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
