"""One call of text to speech, as the ledger keeps it."""

import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from time import monotonic
from typing import Any
from uuid import UUID

import httpx
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.parse_error import ParsingError
from elevenlabs.core.request_options import RequestOptions

from pipeline.calls import Absence, CallRequest, Note, RawAnswer, SoughtCall, Verdict
from pipeline.domain import Charge
from pipeline.errors import Ambiguous, Transient
from pipeline.providers.elevenlabs_errors import SERVICE, translated
from pipeline.providers.elevenlabs_history import TooMany, Wanted, find_recording
from pipeline.providers.prices import CharacterPrice, character_cost
from pipeline.providers.refusals import quoted

OPERATION = "speech"
CALL_TIMEOUT_SECONDS = 240

NO_HISTORY = frozenset({401, 403, 404, 405})

_KEPT_HEADERS = ("content-type", "request-id", "character-cost")
_ARRIVED: ContextVar[list[httpx.Response] | None] = ContextVar("arrived", default=None)


async def keep_arrival(response: httpx.Response) -> None:
    """A response hook of the HTTP client: reads the whole answer before the SDK makes something
    of it, and keeps it for the call that is under way."""
    await response.aread()
    arrived = _ARRIVED.get()
    if arrived is not None:
        arrived.append(response)


@dataclass(frozen=True, slots=True)
class ElevenLabsOptions:
    """How calls are made and priced. `api_key` is known so that it is never quoted."""

    voice_id: str
    model: str
    api_key: str
    audio: str
    price: CharacterPrice

    def __repr__(self) -> str:
        return f"ElevenLabsOptions(voice_id={self.voice_id!r}, model={self.model!r})"


class SpeechCall:
    """Implements `PaidCall`: a text goes out, its recording and alignment come back.

    The client's HTTP client must have `keep_arrival` among its response hooks. `occasion` is 1 when
    the same text is asked for once more because its first recording was unusable.
    """

    def __init__(
        self,
        client: AsyncElevenLabs,
        options: ElevenLabsOptions,
        asked: Mapping[str, Any],
        *,
        shard: int,
        occasion: int,
        number: int,
    ) -> None:
        self._client = client
        self._options = options
        self._asked = {**asked, "model_id": options.model}
        self._shard = shard
        self._occasion = occasion
        self._number = number

    @property
    def request(self) -> CallRequest:
        options = self._options
        return CallRequest(
            service=SERVICE,
            operation=OPERATION,
            content={**self._asked, "voice_id": options.voice_id, "output_format": options.audio},
            most=character_cost(self._estimate, options.price),
            patience=CALL_TIMEOUT_SECONDS,
            shard=self._shard,
            occasion=self._occasion,
        )

    @property
    def _estimate(self) -> Decimal:
        return len(self._asked["text"]) * self._options.price.factor

    async def send(self, call_id: UUID, note: Note) -> RawAnswer:
        """See `PaidCall`."""
        arrived: list[httpx.Response] = []
        began = monotonic()
        token = _ARRIVED.set(arrived)
        try:
            await self._client.text_to_speech.with_raw_response.convert_with_timestamps(
                self._options.voice_id,
                output_format=self._options.audio,
                request_options=RequestOptions(
                    max_retries=0, timeout_in_seconds=CALL_TIMEOUT_SECONDS
                ),
                **self._asked,
            )
        except (ApiError, httpx.HTTPError) as error:
            if not _answers(arrived):
                # Not chained: the client's error holds the answer, which may repeat the key.
                raise translated(error, secret=self._options.api_key) from None
        except (ParsingError, TypeError, ValueError, AttributeError, RecursionError) as error:
            # The SDK cannot read it. Whether we can is decided once it is kept.
            if not _answers(arrived):
                raise Ambiguous(
                    f"ElevenLabs' answer is unusable ({type(error).__name__})", answered=True
                ) from None
        finally:
            _ARRIVED.reset(token)
        reply = arrived[-1]
        kept = {name: reply.headers[name] for name in _KEPT_HEADERS if name in reply.headers}
        milliseconds = round((monotonic() - began) * 1000)
        return RawAnswer(reply.content, kept, milliseconds, datetime.now(UTC))

    async def find(self, sought: SoughtCall) -> RawAnswer | Absence:
        """See `PaidCall`. Asks the account's history, which a key for text to speech alone may not
        read, and a server of one's own may not have: then nobody can tell."""
        wanted = Wanted(
            text=self._asked["text"],
            voice_id=self._options.voice_id,
            model=self._options.model,
            within=CALL_TIMEOUT_SECONDS,
        )
        try:
            found = await find_recording(self._client, wanted, sought)
        except TooMany:
            return Absence.CANNOT_TELL
        except (ApiError, httpx.HTTPError) as error:
            if isinstance(error, ApiError) and error.status_code in NO_HISTORY:
                return Absence.CANNOT_TELL
            raise translated(error, secret=self._options.api_key) from None
        except (ParsingError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Transient(
                f"ElevenLabs' history is not what its interface says ({type(error).__name__})"
            ) from None
        return Absence.NOT_MADE if found is None else found

    def judge(self, answer: RawAnswer) -> Verdict:
        """See `PaidCall`. Characters as the cost header says; estimated, and marked so, where it
        does not."""
        options = self._options
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise Ambiguous(
                "what answered for ElevenLabs was no JSON: check YTEMPIRE_ELEVENLABS_BASE_URL, or"
                " what stands between",
                answered=True,
            ) from None
        metadata = {"model": options.model, "voice": options.voice_id}
        units = _units(answer.headers.get("character-cost"))
        if units is None:
            units = self._estimate
            metadata["estimated"] = "yes"
        known = isinstance(document, dict)
        if known and document.get("alignment") is document.get("normalized_alignment") is None:
            metadata["timings"] = "estimated"
        request_id = answer.headers.get("request-id")
        charge = Charge(
            service=SERVICE,
            operation=OPERATION,
            amount=character_cost(units, options.price),
            units=units,
            unit_type="characters",
            rate=options.price.rate,
            request_id=quoted(request_id)[:100] if request_id else None,
            response_time_ms=answer.milliseconds,
            shard=self._number,
            metadata=metadata,
        )
        return Verdict(charge, reference=charge.request_id, reusable=known)


def _answers(arrived: list[httpx.Response]) -> bool:
    return bool(arrived) and arrived[-1].is_success


def _units(header: str | None) -> Decimal | None:
    try:
        units = Decimal((header or "").strip())
    except InvalidOperation:
        return None
    return units if units.is_finite() and 0 <= units < 10**9 else None
