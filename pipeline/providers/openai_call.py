"""One call of the Responses API, as the ledger keeps it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

import openai
from openai.types.responses import ResponseInputParam

from pipeline.calls import Absence, CallRequest, Note, RawAnswer, SoughtCall, Verdict
from pipeline.providers.openai_answer import (
    OPERATION,
    Pricing,
    charge_for,
    envelope,
    is_over_without_answer,
)
from pipeline.providers.openai_draft import INSTRUCTIONS, Draft
from pipeline.providers.openai_errors import SERVICE, translated
from pipeline.providers.prices import TokenUsage, token_cost

CALL_TIMEOUT_SECONDS = 240.0
OUTPUT_TOKENS = 12_000
MARK = "ytempire_call"
"""The key in a stored response's metadata under which our name for the call is."""

_KEPT_HEADERS = ("content-type", "x-request-id", "openai-processing-ms")


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """How calls are made and priced. `api_key` is known so that it is never quoted."""

    model: str
    api_key: str
    pricing: Pricing
    output_tokens: int = OUTPUT_TOKENS

    def __repr__(self) -> str:
        return f"OpenAIOptions(model={self.model!r})"


class ScriptCall:
    """Implements `PaidCall`: the conversation so far goes out, the next answer comes back."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        options: OpenAIOptions,
        conversation: Sequence[Mapping[str, Any]],
        *,
        number: int,
    ) -> None:
        self._client = client
        self._options = options
        self._conversation = [dict(item) for item in conversation]
        self._number = number

    @property
    def request(self) -> CallRequest:
        content = {
            "model": self._options.model,
            "instructions": INSTRUCTIONS,
            "input": self._conversation,
            "schema": Draft.model_json_schema(),
            "max_output_tokens": self._options.output_tokens,
        }
        return CallRequest(
            service=SERVICE,
            operation=OPERATION,
            content=content,
            most=self._most(content),
            patience=CALL_TIMEOUT_SECONDS,
            shard=self._number,
        )

    def _most(self, content: Mapping[str, Any]) -> Decimal:
        """As many tokens as the request has bytes (none is shorter), at the dearer price of
        reading, and all the output that is allowed."""
        options = self._options
        price = options.pricing.table.tokens(options.model, datetime.now(UTC).date())
        if price is None:
            return Decimal(0)
        size = len(json.dumps(content).encode())
        dear = (price.cache_write or Decimal(0)) > price.input
        usage = TokenUsage(
            input=size, cache_write=size if dear else 0, output=options.output_tokens
        )
        return token_cost(usage, price)

    async def send(self, call_id: UUID, note: Note) -> RawAnswer:
        """See `PaidCall`. The response is stored at OpenAI with our name for it."""
        options = self._options
        began = monotonic()
        try:
            raw = await self._client.responses.with_raw_response.parse(
                model=options.model,
                instructions=INSTRUCTIONS,
                input=_input(self._conversation),
                text_format=Draft,
                max_output_tokens=options.output_tokens,
                store=True,
                metadata={MARK: str(call_id)},
                timeout=CALL_TIMEOUT_SECONDS,
            )
        except openai.OpenAIError as error:
            # Not chained: the client's error holds the request, and with it the key.
            raise translated(error, secret=options.api_key) from None
        reply = raw.http_response
        return _raw(reply.content, reply.headers, began)

    async def find(self, sought: SoughtCall) -> RawAnswer | Absence:
        """See `PaidCall`. Stored responses can be read by their id, and not be searched."""
        return Absence.CANNOT_TELL

    def judge(self, answer: RawAnswer) -> Verdict:
        """See `PaidCall`."""
        document = envelope(answer.body, answer.headers.get("content-type", ""))
        charge = charge_for(
            document,
            pricing=self._options.pricing,
            request_id=answer.headers.get("x-request-id"),
            milliseconds=answer.milliseconds,
            day=answer.at.date(),
            shard=self._number,
        )
        id_ = document.get("id")
        return Verdict(
            charge,
            reference=id_[:200] if isinstance(id_, str) else None,
            reusable=not is_over_without_answer(document),
        )


def _input(conversation: Sequence[dict[str, Any]]) -> ResponseInputParam:
    items: Any = list(conversation)
    typed: ResponseInputParam = items
    return typed


def _raw(body: bytes, headers: Mapping[str, str], began: float) -> RawAnswer:
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return RawAnswer(body, kept, round((monotonic() - began) * 1000), datetime.now(UTC))
