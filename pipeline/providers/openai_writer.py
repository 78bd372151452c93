"""Scripts by OpenAI's Responses API, or any server that speaks it."""

import json
from collections.abc import Sequence
from typing import Any

import openai
from pydantic import ValidationError

from pipeline.domain import Channel, Charge, Paid, Script, Topic
from pipeline.errors import Rejected, StageError
from pipeline.ports import CallLedger
from pipeline.providers.openai_answer import Unusable, envelope, text_of
from pipeline.providers.openai_call import OpenAIOptions, ScriptCall
from pipeline.providers.openai_draft import parse_draft, request_text, script_of
from pipeline.providers.refusals import quoted

CALLS = 2  # the answer, and one chance to repair it


class OpenAIWriter:
    """A script writer over a ready client, whose own retries must be off; every call is made
    through the ledger."""

    def __init__(
        self, client: openai.AsyncOpenAI, options: OpenAIOptions, calls: CallLedger
    ) -> None:
        self._client = client
        self._options = options
        self._calls = calls

    async def write(
        self, topic: Topic, channel: Channel, *, notes: Sequence[str] = ()
    ) -> Paid[Script]:
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
            {"role": "user", "content": request_text(topic, channel, notes)}
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
        call = ScriptCall(self._client, self._options, conversation, number=len(charges))
        answered = await self._calls.make(call)
        charges.append(answered.charge)
        return envelope(answered.answer.body, answered.answer.headers.get("content-type", ""))


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
