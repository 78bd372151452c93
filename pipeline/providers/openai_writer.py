"""Scripts by OpenAI's Responses API, or any server that speaks it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import openai
from openai.types.responses import ResponseInputParam
from pydantic import ValidationError

from pipeline.domain import Channel, Charge, Paid, Script, Topic
from pipeline.errors import Rejected, StageError
from pipeline.providers.openai_answer import Pricing, Unusable, charge_for, envelope, text_of
from pipeline.providers.openai_draft import (
    INSTRUCTIONS,
    Draft,
    parse_draft,
    request_text,
    script_of,
)
from pipeline.providers.openai_errors import translated
from pipeline.providers.refusals import quoted

CALLS = 2  # the answer, and one chance to repair it
CALL_TIMEOUT_SECONDS = 240.0
OUTPUT_TOKENS = 12_000


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """How calls are made and priced. `api_key` is known so that it is never quoted."""

    model: str
    api_key: str
    pricing: Pricing
    output_tokens: int = OUTPUT_TOKENS

    def __repr__(self) -> str:
        return f"OpenAIOptions(model={self.model!r})"


class OpenAIWriter:
    """A script writer over a ready client, whose own retries must be off."""

    def __init__(self, client: openai.AsyncOpenAI, options: OpenAIOptions) -> None:
        self._client = client
        self._options = options

    async def write(self, topic: Topic, channel: Channel) -> Paid[Script]:
        """Write one script: one call, and one more when its answer is not usable.

        A refusal of the model, and a second unusable answer, are `Rejected`. Every error carries
        what was charged on the way; a topic without facts is refused before anything is.
        """
        if not any(fact.strip() for fact in topic.facts):
            raise Rejected(
                f"the topic {topic.topic[:80]!r} has no facts, and every statement of a script"
                " rests on one: give it facts"
            )
        conversation: list[dict[str, Any]] = [
            {"role": "user", "content": request_text(topic, channel)}
        ]
        charges: list[Charge] = []
        problem = ""
        for _ in range(CALLS):
            text = ""
            try:
                answer = await self._ask(conversation, charges)
                text = text_of(answer)
                return Paid(_script(text, topic), tuple(charges))
            except Unusable as unusable:
                problem = str(unusable)
            except StageError as error:
                error.charges = tuple(charges)
                raise
            if text:
                conversation.append({"role": "assistant", "content": _sendable(text)})
            conversation.append({"role": "user", "content": _sendable(_repair(problem))})
        raise Rejected(
            f"the script by {self._options.model} on {topic.topic[:80]!r} cannot be used, even"
            f" after it was asked to repair it: {problem}",
            charges=tuple(charges),
        )

    async def _ask(
        self, conversation: Sequence[dict[str, Any]], charges: list[Charge]
    ) -> dict[str, Any]:
        """One call; its charge is appended before anything else is made of the answer."""
        options = self._options
        began = monotonic()
        try:
            raw = await self._client.responses.with_raw_response.parse(
                model=options.model,
                instructions=INSTRUCTIONS,
                input=_input(conversation),
                text_format=Draft,
                max_output_tokens=options.output_tokens,
                timeout=CALL_TIMEOUT_SECONDS,
            )
        except openai.OpenAIError as error:
            # Not chained: the client's error holds the request, and with it the key.
            raise translated(error, secret=options.api_key) from None
        reply = raw.http_response
        answer = envelope(reply.content, reply.headers.get("content-type", ""))
        charges.append(
            charge_for(
                answer,
                pricing=options.pricing,
                request_id=reply.headers.get("x-request-id"),
                milliseconds=round((monotonic() - began) * 1000),
                shard=len(charges),
            )
        )
        return answer


def _input(conversation: Sequence[dict[str, Any]]) -> ResponseInputParam:
    items: Any = list(conversation)
    typed: ResponseInputParam = items
    return typed


def _script(text: str, topic: Topic) -> Script:
    try:
        return script_of(parse_draft(text), topic)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise Unusable(quoted(f"it does not fit the schema: {where}: {first['msg']}")) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise Unusable("it is not one JSON document") from error
    except Rejected as error:
        raise Unusable(quoted(error)) from error


def _repair(problem: str) -> str:
    return (
        f"Your answer cannot be used: {problem}. Answer again with the whole document, corrected."
    )


def _sendable(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can name but UTF-8 cannot carry."""
    return text.encode("utf-8", "ignore").decode()
