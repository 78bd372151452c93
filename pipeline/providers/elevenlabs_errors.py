"""ElevenLabs' refusals in our words.

quota_exceeded (401), 402            OutOfCredit   top up; the provider is paused
other 401, 403                       Waiting       a person must repair the key or its rights
429 too_many_concurrent_requests     Deferred      a moment: others are speaking
429 system_busy                      Transient
429 otherwise                        Deferred      until Retry-After; Transient without one
408, 409, not reached                Transient     nothing was done
5xx, cut off, no answer, no JSON     Ambiguous     it may have been done, and charged
any other (voice_not_found, ...)     Rejected
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from elevenlabs.core.api_error import ApiError

from pipeline.errors import (
    Ambiguous,
    Deferred,
    OutOfCredit,
    Rejected,
    StageError,
    Transient,
    Waiting,
)
from pipeline.providers.refusals import (
    CREDIT_PROBE_SECONDS,
    GATEWAY_GAVE_UP,
    never_sent,
    quoted,
    retry_after,
    too_many,
)

SERVICE = "elevenlabs"
REMEDY = "add credits, allow usage-based billing or wait for the next period at ElevenLabs"
CROWDED_WAIT_SECONDS = 10.0


def status_of(body: Any) -> str:
    """ElevenLabs' own name for what went wrong, empty when the body has none."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, dict):
        return ""
    return quoted(detail.get("status") or detail.get("code") or "", "")


def message_of(body: Any, secret: str) -> str:
    """Its message, without our key."""
    detail = body.get("detail", body) if isinstance(body, dict) else body
    return quoted(detail.get("message") if isinstance(detail, dict) else detail, secret)


def translated(error: ApiError | httpx.HTTPError, *, secret: str) -> StageError:
    """The failed call as an error of ours; never with the key in it."""
    if isinstance(error, httpx.HTTPError):
        name = type(error).__name__
        if never_sent(error):
            return Transient(f"ElevenLabs cannot be reached ({name})")
        if isinstance(error, httpx.TimeoutException):
            return Ambiguous("ElevenLabs did not answer in time; whether it charged is unknown")
        return Ambiguous(
            f"the connection to ElevenLabs broke ({name}); whether it charged is unknown"
        )
    now = datetime.now(UTC)
    code, status = error.status_code or 0, status_of(error.body)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    said = (
        f"{status}: {message_of(error.body, secret)}" if status else message_of(error.body, secret)
    )
    if status == "quota_exceeded" or code == 402:
        return OutOfCredit(
            f"ElevenLabs is out of credits: {REMEDY}",
            until=now + timedelta(seconds=CREDIT_PROBE_SECONDS),
            service=SERVICE,
            remedy=REMEDY,
        )
    if code in {401, 403}:
        reason = status or "no reason given"
        return Waiting(
            f"ElevenLabs refuses the key ({reason}): put a valid one with the right to text to"
            " speech into ELEVENLABS_API_KEY, restart the workers, then retry the run"
        )
    if status == "too_many_concurrent_requests":
        wait = retry_after(headers, now) or CROWDED_WAIT_SECONDS
        return Deferred(
            "ElevenLabs serves as many calls at once as the plan allows; lower"
            " YTEMPIRE_ELEVENLABS_CONCURRENCY if others share the account",
            until=now + timedelta(seconds=wait),
        )
    if status == "system_busy":
        return Transient("ElevenLabs is busy", retry_after=retry_after(headers, now))
    if code == 429:
        return too_many(f"ElevenLabs' rate limit is reached: {said}", headers, now)
    if code >= 500:
        return Ambiguous(
            f"ElevenLabs answered {code}: {said}",
            answered=code not in GATEWAY_GAVE_UP,
            retry_after=retry_after(headers, now),
        )
    if code in {408, 409}:
        return Transient(
            f"ElevenLabs answered {code}: {said}", retry_after=retry_after(headers, now)
        )
    if code < 400:
        return Transient(
            f"what answered for ElevenLabs with {code} was no JSON: check"
            " YTEMPIRE_ELEVENLABS_BASE_URL, or what stands between"
        )
    if status == "voice_not_found":
        return Rejected(f"ElevenLabs does not know the voice in YTEMPIRE_VOICE: {said}")
    return Rejected(f"ElevenLabs refused the text with {code}: {said}")
