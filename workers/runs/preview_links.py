"""Links to the page on which a run is reviewed: signed, and good for a while.

Who holds a link may watch that one run's video and decide about it, and nothing else. A link is
`<YTEMPIRE_PUBLIC_URL>/preview/<token>`; the token holds the run, its expiry and a MAC of both.
Nothing is stored: links end by their time, or all at once with the secret key that signed them.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from workers.secrets import SecretKeys, secret_keys
from workers.settings import Settings

LIFETIME = timedelta(days=7)
PURPOSE = "ytempire preview links 1"
_RUN_BYTES, _TIME_BYTES, _MAC_BYTES = 16, 8, 32
_TOKEN_BYTES = _RUN_BYTES + _TIME_BYTES + _MAC_BYTES


class BadLink(Exception):
    """A token that none of our keys made."""


class ExpiredLink(Exception):
    """A token of ours whose time is over; `run` is the run it was for."""

    def __init__(self, run: UUID, expired_at: datetime) -> None:
        super().__init__(f"the link to run {run} ended at {expired_at.isoformat()}")
        self.run = run
        self.expired_at = expired_at


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link grants: this run, until then."""

    run: UUID
    expires_at: datetime


class PreviewLinks:
    """Makes and reads tokens; the first of our secret keys signs, all verify."""

    def __init__(self, keys: SecretKeys) -> None:
        self._keys = keys.derive(PURPOSE)

    def token(self, run: UUID, *, now: datetime, lifetime: timedelta = LIFETIME) -> str:
        """A token for a run; the same moment gives the same token."""
        expiry = int((now + lifetime).timestamp())
        claim = run.bytes + expiry.to_bytes(_TIME_BYTES)
        return base64.urlsafe_b64encode(claim + _mac(self._keys[0], claim)).decode().rstrip("=")

    def read(self, token: str, *, now: datetime) -> Grant:
        """What a token grants. Raises `BadLink`, or `ExpiredLink` for one that once was good."""
        claim, mac = _parts(token)
        # All keys are tried, whichever fits, each in constant time.
        fits = [hmac.compare_digest(_mac(key, claim), mac) for key in self._keys]
        if not any(fits):
            raise BadLink("this link was not made here")
        run = UUID(bytes=claim[:_RUN_BYTES])
        expires_at = datetime.fromtimestamp(int.from_bytes(claim[_RUN_BYTES:]), UTC)
        if now >= expires_at:
            raise ExpiredLink(run, expires_at)
        return Grant(run, expires_at)


def preview_url(
    settings: Settings, execution_id: UUID, *, now: datetime | None = None
) -> str | None:
    """The address of a run's review page, good for seven days from `now`.

    None while `YTEMPIRE_PUBLIC_URL` does not say where `ytempire serve` is reached. It opens the
    run to whoever has it: it may go into a callback or a message, never into a log.
    """
    if settings.public_url is None:
        return None
    links = PreviewLinks(secret_keys(settings))
    token = links.token(execution_id, now=now or datetime.now(UTC))
    return f"{settings.public_url}/preview/{token}"


def _mac(key: bytes, claim: bytes) -> bytes:
    return hmac.new(key, claim, hashlib.sha256).digest()


def _parts(token: str) -> tuple[bytes, bytes]:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadLink("this is not a whole link") from None
    if len(raw) != _TOKEN_BYTES:
        raise BadLink("this is not a whole link")
    return raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
