"""One call of the Responses API, as the ledger keeps it.

In the background, a response has its id before it costs anything: the id is noted in the ledger,
and whoever comes after a crash asks for that response instead of paying for another. In the
foreground the id comes with the answer, and an answer that was lost cannot be asked for: the API
lists stored chat completions, and no responses.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

import openai
from openai.types.responses import ResponseInputParam

from pipeline.calls import Absence, CallRequest, Note, RawAnswer, SoughtCall, Verdict
from pipeline.errors import Ambiguous, Deferred, Transient
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
POLL_TIMEOUT_SECONDS = 30.0
FIRST_POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 5.0
UNFINISHED = ("queued", "in_progress")
MARK = "ytempire_call"
"""The key in a stored response's metadata under which our name for the call is."""

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_KEPT_HEADERS = ("content-type", "x-request-id", "openai-processing-ms")


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """How calls are made and priced. `api_key` is known so that it is never quoted."""

    model: str
    api_key: str
    pricing: Pricing
    background: bool = False
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
        """See `PaidCall`. The response is stored at the service with our name for it."""
        options = self._options
        began = monotonic()
        try:
            raw = await self._client.responses.with_raw_response.parse(
                model=options.model,
                instructions=INSTRUCTIONS,
                input=_input(self._conversation),
                text_format=Draft,
                max_output_tokens=options.output_tokens,
                background=True if options.background else openai.omit,
                store=True,
                metadata={MARK: str(call_id)},
                timeout=CALL_TIMEOUT_SECONDS,
            )
        except openai.OpenAIError as error:
            # Not chained: the client's error holds the request, and with it the key.
            raise translated(error, secret=options.api_key) from None
        first = _raw(raw.http_response.content, raw.http_response.headers, began)
        answer = first
        if (id_ := _unfinished(answer)) is not None:
            await note(id_)
            answer = await self._finished(id_, began)
        milliseconds = round((monotonic() - began) * 1000)
        return replace(answer, headers=first.headers, milliseconds=milliseconds)

    async def _finished(self, id_: str, began: float) -> RawAnswer:
        """The response once it is finished; asking costs nothing, so what fails is asked again.

        Raises `Ambiguous` when nobody waits any longer, and for a response that is not there.
        """
        pause = FIRST_POLL_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
            try:
                answer = await self._retrieved(id_)
                envelope(answer.body, answer.headers.get("content-type", ""))
                if _unfinished(answer) is None:
                    return answer
            except openai.NotFoundError:
                raise Ambiguous("OpenAI does not know its own response", answered=True) from None
            except (openai.OpenAIError, Transient):
                pass  # also a page of whatever stands between: the response goes on all the same
            if monotonic() - began > CALL_TIMEOUT_SECONDS:
                raise Ambiguous("OpenAI has not finished its response yet")

    async def _retrieved(self, id_: str) -> RawAnswer:
        raw = await self._client.responses.with_raw_response.retrieve(
            id_, timeout=POLL_TIMEOUT_SECONDS
        )
        return _raw(raw.http_response.content, raw.http_response.headers, monotonic())

    async def find(self, sought: SoughtCall) -> RawAnswer | Absence:
        """See `PaidCall`. Stored responses can be read by their id, and not be searched."""
        if sought.reference is None:
            return Absence.CANNOT_TELL
        try:
            answer = await self._retrieved(sought.reference)
            envelope(answer.body, answer.headers.get("content-type", ""))
            if _unfinished(answer) is not None:
                answer = await self._finished(sought.reference, monotonic())
        except openai.NotFoundError:
            return Absence.NOT_MADE
        except openai.OpenAIError as error:
            raise translated(error, secret=self._options.api_key) from None
        except Ambiguous as error:
            wait = timedelta(seconds=LONGEST_POLL_SECONDS)
            raise Deferred(str(error), until=datetime.now(UTC) + wait) from None
        return replace(answer, headers={**answer.headers, "x-request-id": sought.reference})

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


def _unfinished(answer: RawAnswer) -> str | None:
    """The id of a response that is still under way; None for anything else."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("status") not in UNFINISHED:
        return None
    id_ = document.get("id")
    return id_ if isinstance(id_, str) and _SAFE_ID.fullmatch(id_) else None


def _input(conversation: Sequence[dict[str, Any]]) -> ResponseInputParam:
    items: Any = list(conversation)
    typed: ResponseInputParam = items
    return typed


def _raw(body: bytes, headers: Mapping[str, str], began: float) -> RawAnswer:
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return RawAnswer(body, kept, round((monotonic() - began) * 1000), datetime.now(UTC))
