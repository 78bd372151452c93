"""Google's consent screen, where a person answers at once: codes for grants, bound by PKCE."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from tests.services.youtube_world import Account


@dataclass
class Consent:
    """`person` is the account whose owner consents; None denies. `asked` are the questions, and
    `granted` the scopes that are consented to, if not all that were asked for."""

    person: Account | None = None
    granted: tuple[str, ...] | None = None
    grant_life_seconds: int | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, tuple[Account, dict[str, str]]] = field(default_factory=dict)

    def answer(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.asked.append(query)
        back = {"state": query["state"]}
        if self.person is None:
            back["error"] = "access_denied"
        else:
            back["code"] = f"4/code-{secrets.token_hex(12)}"
            self.codes[back["code"]] = (self.person, query)
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def redeem(self, form: dict[str, str], access_token: str) -> tuple[int, dict[str, Any]]:
        """A code's grant, once, to whoever knows the verifier of its question."""
        account, query = self.codes.pop(form.get("code", ""), (None, {}))
        if account is None:
            return 400, {"error": "invalid_grant", "error_description": "Malformed auth code."}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        verified = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(verified, query.get("code_challenge", "")):
            return 400, {"error": "invalid_grant", "error_description": "Invalid code verifier."}
        if (form.get("redirect_uri"), form.get("client_secret")) != (
            query["redirect_uri"],
            account.client_secret,
        ):
            return 400, {"error": "invalid_request"}
        if self.granted is not None:
            account.scopes = self.granted
        granted = {
            "access_token": access_token,
            "expires_in": 3599,
            "refresh_token": account.refresh_token,
            "scope": " ".join(account.scopes),
            "token_type": "Bearer",
        }
        if self.grant_life_seconds is not None:
            granted["refresh_token_expires_in"] = self.grant_life_seconds
        return 200, granted
