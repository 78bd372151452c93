"""Asking a person for a grant: OAuth's code flow of an installed app, with state and PKCE.

The browser goes to Google and comes back to a port of this machine with a code; the code, and a
secret that only this process has, are worth a refresh token.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx

from pipeline.errors import Rejected, Transient
from pipeline.providers.youtube_tokens import Credential

AUTH_URI = "https://accounts.google.com/o/oauth2/v2/auth"
TIMEOUT_SECONDS = 30.0
_PREFIX = "https://www.googleapis.com/auth/"
# What the line does and no more. The second one covers the first and the third in what it lets us
# do; they are asked for by name because some methods name them.
SCOPES = (
    f"{_PREFIX}youtube.upload",
    f"{_PREFIX}youtube.force-ssl",
    f"{_PREFIX}youtube.readonly",
    f"{_PREFIX}yt-analytics.readonly",
)
MONETARY = f"{_PREFIX}yt-analytics-monetary.readonly"


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Our app as Google knows it. An installed app's secret is hardly one; it is kept anyway."""

    client_id: str
    client_secret: str = field(repr=False)
    auth_uri: str = AUTH_URI


@dataclass(frozen=True, slots=True)
class Question:
    """One request for a grant: `state` comes back with the answer, `verifier` never leaves."""

    url: str
    state: str
    verifier: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person granted. `expires_at` is set when Google ends the grant itself."""

    credential: Credential
    expires_at: datetime | None


def ask(
    client: OAuthClient, redirect_uri: str, *, email: str, scopes: tuple[str, ...] = SCOPES
) -> Question:
    """A question of its own at every call. The refresh token comes with consent only, hence the
    prompt."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": " ".join(scopes),
        "access_type": "offline",
        "prompt": "consent",
        "login_hint": email,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return Question(f"{client.auth_uri}?{urlencode(query)}", state, verifier, redirect_uri)


async def redeem(client: OAuthClient, question: Question, code: str, *, token_uri: str) -> Grant:
    """Change the code for a grant.

    Raises `Rejected` when Google refuses it or gives no refresh token, `Transient` when the token
    endpoint is away. A code works once.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "redirect_uri": question.redirect_uri,
        "code_verifier": question.verifier,
    }
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
            response = await http.post(token_uri, data=form)
            answer: Any = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Transient(
            f"Google's token endpoint cannot be reached ({type(error).__name__})"
        ) from error
    if not isinstance(answer, Mapping) or response.status_code != 200:
        said = answer.get("error", "refused") if isinstance(answer, Mapping) else "refused"
        raise Rejected(
            f"Google did not accept the answer: {str(said)[:60]}; authorise it once more"
        )
    token = answer.get("refresh_token")
    if not isinstance(token, str) or not token:
        raise Rejected("Google gave no refresh token: authorise it once more, and consent to all")
    seconds = answer.get("refresh_token_expires_in")
    ends = None
    if isinstance(seconds, int) and seconds > 0:
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
    scopes = tuple(sorted(str(answer.get("scope", "")).split()))
    return Grant(Credential(client.client_id, client.client_secret, token, scopes), ends)
