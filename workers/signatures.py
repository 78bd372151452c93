"""Standard Webhooks signatures: ours on what we send, others' on what we are sent.

The library signs and compares. It is shown well-formed input only: malformed signatures, odd
timestamps and bodies that are not UTF-8 escape it as errors of every kind, and it takes fractions
of a second for a timestamp.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with, not one
SECRET_BYTES = 32
MOST_SIGNATURES = 20
SIGNATURE_BYTES = 32

_ID = re.compile(r"[!-~]{1,200}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class BadSignature(Exception):
    """The headers are not a signature of this body by a known secret; the message is for a log
    and names no secret."""


def new_secret() -> str:
    """A fresh `whsec_...`."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def check_secret(secret: str) -> str:
    """The secret itself. Raises `ValueError`, without it, when it is not one."""
    try:
        size = len(base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith(SECRET_PREFIX) or not 24 <= size <= 64:
        raise ValueError(f"must be {SECRET_PREFIX} and 24 to 64 bytes in base64")
    return secret


def sign(secret: str, *, message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The three headers for a body. `at` is aware; the id stays the same over retries."""
    moment = at.astimezone(UTC)
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(int(moment.timestamp())),
        SIGNATURE_HEADER: Webhook(secret).sign(msg_id=message_id, timestamp=moment, data=body),
    }


def sign_with(
    secrets_: Sequence[str], *, message_id: str, at: datetime, body: str
) -> dict[str, str]:
    """The signature header with a signature by each secret, so that a receiver may change to the
    new one at its own time; nothing without a secret."""
    signatures = [
        sign(secret, message_id=message_id, at=at, body=body)[SIGNATURE_HEADER]
        for secret in secrets_
    ]
    return {SIGNATURE_HEADER: " ".join(signatures)} if signatures else {}


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request means to be signed: any of the three headers is there."""
    return any(name in headers for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))


def verify(secrets_: Iterable[str], *, headers: Mapping[str, str], body: bytes) -> int:
    """Check a body against every secret, always all of them; which one signed it.

    `headers` must be case-insensitive. Raises `BadSignature` for anything else than a signature of
    exactly this body, by one of the secrets, of the last five minutes.
    """
    shown = _well_formed(headers)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadSignature("the body is not UTF-8") from None
    found: int | None = None
    for number, secret in enumerate(secrets_):
        try:
            Webhook(secret).verify(text, shown, json_parse=False)
        except WebhookVerificationError:
            continue
        found = number if found is None else found
    if found is None:
        raise BadSignature("no secret made this signature of this body in the last five minutes")
    return found


def _well_formed(headers: Mapping[str, str]) -> dict[str, str]:
    message_id = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if not _ID.fullmatch(message_id):
        raise BadSignature(f"{ID_HEADER} must be 1 to 200 printable ASCII characters")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature(f"{TIMESTAMP_HEADER} must be whole seconds since 1970")
    usable = _usable(headers.get(SIGNATURE_HEADER, "").split(" "))
    if not usable:
        raise BadSignature(f"{SIGNATURE_HEADER} holds no v1 signature")
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: usable}


def _usable(signatures: Sequence[str]) -> str:
    """The well-formed v1 signatures; other versions and broken ones are for others to read."""
    kept = []
    for signature in signatures[:MOST_SIGNATURES]:
        version, _, encoded = signature.partition(",")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if version == "v1" and len(raw) == SIGNATURE_BYTES:
            kept.append(f"v1,{encoded}")
    return " ".join(kept)
