"""A recording that was paid for, found again in the vendor's history of the account."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.request_options import RequestOptions

from pipeline.calls import RawAnswer, SoughtCall

PAGE_SIZE = 500
PAGES = 20
CLOCK_SLACK = timedelta(minutes=2)
ASK_TIMEOUT_SECONDS = 60
SOURCE = "TTS"


class TooMany(Exception):
    """The history of the time in question is longer than anybody reads."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was sent, as a history item shows it. `within` is how long after its beginning the call
    may have taken effect, in seconds."""

    text: str
    voice_id: str
    model: str
    within: float


async def find_recording(
    client: AsyncElevenLabs, wanted: Wanted, sought: SoughtCall
) -> RawAnswer | None:
    """The answer that the call would have had, made from its history item; None when there is none.

    The text is compared here: how the vendor's search splits it is not told. An item whose request
    is booked for another call is that call's. Raises what the SDK raises, and `TooMany`.
    """
    async for item in _items(client, wanted, sought):
        taken = item.request_id is not None and item.request_id in sought.booked
        named = sought.reference is None or item.request_id == sought.reference
        if named and not taken and _shows(item, wanted):
            return await _answer(client, item)
    return None


def _shows(item: Any, wanted: Wanted) -> bool:
    return (
        (item.text or "").split() == wanted.text.split()
        and item.voice_id in (wanted.voice_id, None)
        and item.model_id in (wanted.model, None)
    )


async def _items(client: AsyncElevenLabs, wanted: Wanted, sought: SoughtCall) -> AsyncIterator[Any]:
    after: str | None = None
    until = sought.begun + timedelta(seconds=wanted.within) + CLOCK_SLACK
    for _ in range(PAGES):
        page = await client.history.list(
            page_size=PAGE_SIZE,
            start_after_history_item_id=after,
            voice_id=wanted.voice_id,
            date_after_unix=int((sought.begun - CLOCK_SLACK).timestamp()),
            date_before_unix=int(until.timestamp()),
            request_options=_options(),
        )
        for item in page.history:
            if item.source in (SOURCE, None):
                yield item
        if not page.has_more or page.last_history_item_id is None:
            return
        after = page.last_history_item_id
    raise TooMany


async def _answer(client: AsyncElevenLabs, item: Any) -> RawAnswer:
    audio = b"".join(
        [
            chunk
            async for chunk in client.history.get_audio(
                item.history_item_id, request_options=_options()
            )
        ]
    )
    aligned = item.alignments
    body: Mapping[str, Any] = {
        "audio_base64": base64.b64encode(audio).decode(),
        "content_type": item.content_type,
        "alignment": aligned.alignment.model_dump() if aligned else None,
        "normalized_alignment": aligned.normalized_alignment.model_dump() if aligned else None,
    }
    headers = {
        "content-type": "application/json",
        "character-cost": str(item.character_count_change_to - item.character_count_change_from),
    }
    if item.request_id is not None:
        headers["request-id"] = item.request_id
    at = datetime.fromtimestamp(item.date_unix, UTC)
    return RawAnswer(json.dumps(body).encode(), headers, milliseconds=0, at=at)


def _options() -> RequestOptions:
    return RequestOptions(max_retries=0, timeout_in_seconds=ASK_TIMEOUT_SECONDS)
