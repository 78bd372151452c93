"""OpenAI's refusals in our words.

429 insufficient_quota and its kin   OutOfCredit   top up; the provider is paused
429 otherwise                        Deferred      until Retry-After; Transient without one
401, 403                             Waiting       a person must repair the key or its rights
408, 409, 500, 503, not reached      Transient     nothing was done
502, 504, 52x, cut off, no answer    Ambiguous     it may have been done, and charged
any other status                     Rejected
"""

from datetime import UTC, datetime, timedelta

import openai

from pipeline.errors import Ambiguous, OutOfCredit, Rejected, StageError, Transient, Waiting
from pipeline.providers.refusals import (
    CREDIT_PROBE_SECONDS,
    GATEWAY_GAVE_UP,
    never_sent,
    quoted,
    retry_after,
    too_many,
)

SERVICE = "openai"
REMEDY = "add credit or raise the limit under Billing of the OpenAI organization"
OUT_OF_CREDIT = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "credit_exhausted"}
)
AGAIN = frozenset({408, 409})


def translated(error: openai.OpenAIError, *, secret: str) -> StageError:
    """The failed call as an error of ours; never with the key in it."""
    now = datetime.now(UTC)
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__).__name__ if error.__cause__ else "no connection"
        if never_sent(error.__cause__):
            return Transient(f"OpenAI cannot be reached ({cause})")
        if isinstance(error, openai.APITimeoutError):
            return Ambiguous("OpenAI did not answer in time; whether it charged is unknown")
        return Ambiguous(f"the connection to OpenAI broke ({cause}); whether it charged is unknown")
    if not isinstance(error, openai.APIStatusError):
        return Ambiguous(f"OpenAI's answer is unusable ({type(error).__name__})", answered=True)
    status, headers = error.status_code, error.response.headers
    codes = {str(error.code), str(error.type)}
    about = f" (request {error.request_id})" if error.request_id else ""
    said = quoted(error.body.get("message") if isinstance(error.body, dict) else error.body, secret)
    if status in {402, 429} and codes & OUT_OF_CREDIT:
        return OutOfCredit(
            f"OpenAI is out of credit: {REMEDY}",
            until=now + timedelta(seconds=CREDIT_PROBE_SECONDS),
            service=SERVICE,
            remedy=REMEDY,
        )
    if status == 429:
        return too_many(f"OpenAI's rate limit is reached{about}: {said}", headers, now)
    if status == 401:
        # Its message repeats the key, more or less masked: it is not quoted.
        return Waiting(
            f"OpenAI refuses the key{about}: put a valid one into OPENAI_API_KEY, restart the"
            " workers, then retry the run"
        )
    if status == 403:
        return Waiting(f"OpenAI does not allow this to the key in OPENAI_API_KEY{about}: {said}")
    if status in GATEWAY_GAVE_UP:
        return Ambiguous(f"something before OpenAI gave up waiting for it ({status}){about}")
    if status in AGAIN or status >= 500:
        wait = retry_after(headers, now)
        return Transient(f"OpenAI answered {status}{about}: {said}", retry_after=wait)
    if error.code == "model_not_found" or (status == 404 and "model" in said):
        return Rejected(f"OpenAI does not know the model in YTEMPIRE_OPENAI_MODEL{about}: {said}")
    return Rejected(f"OpenAI refused the request with {status}{about}: {said}")
