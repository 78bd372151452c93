"""Access tokens from Google's token endpoint, through google-auth."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.auth.exceptions import GoogleAuthError, RefreshError
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import Request
from googleapiclient.http import build_http

from pipeline.errors import Transient, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble

# What only a person can mend. Anything else that refuses (a proxy, a portal, a page) may pass.
DEAD = frozenset(
    {
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "deleted_client",
        "disabled_client",
        "invalid_scope",
        "access_denied",
        "admin_policy_enforced",
        "org_internal",
    }
)
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


@dataclass(frozen=True, slots=True)
class Credential:
    """What an account's tokens are made from. `scopes` are those that were granted; a refresh
    that asks for others is refused."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and when it ends. `refresh_token` is the credential's, or a new one in its place."""

    token: str = field(repr=False)
    expires_at: datetime
    scopes: tuple[str, ...]
    refresh_token: str = field(repr=False)


async def refresh(credential: Credential, *, token_uri: str, account_id: UUID) -> AccessToken:
    """Ask for a new access token, in a thread.

    Raises `Waiting` with `trouble` when the grant is dead (revoked, expired, wrong client): a
    person must authorise the account anew. `Transient` when the endpoint is away, or something else
    answers for it.
    """
    try:
        return await asyncio.to_thread(_refresh, credential, token_uri)
    except RefreshError as error:
        said = _oauth_error(error)
        if error.retryable:
            raise Transient("Google's token endpoint asks to try again") from error
        if said not in DEAD:
            raise Transient(
                "what answers for Google's token endpoint refuses without a reason of its own"
                f" ({said}): check YTEMPIRE_GOOGLE_TOKEN_URI, or what stands between"
            ) from error
        raise Waiting(
            f"Google refuses to renew the account's token: {said}; authorise it anew with"
            " `ytempire account authorize`",
            trouble=AccountTrouble(account_id, AccountEffect.REAUTHORISE, said, rotate=True),
        ) from error
    except (GoogleAuthError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        # google-auth takes a page that came with a 200 for an answer, and stumbles.
        raise Transient(
            f"Google's token endpoint cannot be reached ({type(error).__name__})"
        ) from error


def _refresh(credential: Credential, token_uri: str) -> AccessToken:
    own = build_http()
    google = Credentials(  # type: ignore[no-untyped-call] # google-auth types it in part
        None,
        refresh_token=credential.refresh_token,
        token_uri=token_uri,
        client_id=credential.client_id,
        client_secret=credential.client_secret,
        scopes=list(credential.scopes) or None,
    )
    try:
        google.refresh(Request(own))  # type: ignore[no-untyped-call] # the same
    finally:
        own.close()
    expiry = google.expiry
    if expiry is None:
        raise ValueError("the token endpoint told no expiry")
    granted = google.granted_scopes or google.scopes or ()
    return AccessToken(
        token=str(google.token),
        expires_at=expiry.replace(tzinfo=UTC),  # google-auth's is UTC without saying so
        scopes=tuple(sorted(granted)),
        refresh_token=str(google.refresh_token),
    )


def _oauth_error(error: RefreshError) -> str:
    """The OAuth error's name (`invalid_grant`); its text may repeat what was sent."""
    said: Any = error.args[1] if len(error.args) > 1 else None
    name = said.get("error") if isinstance(said, Mapping) else None
    return name[:60] if isinstance(name, str) else "no OAuth error"
