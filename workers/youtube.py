"""YouTube accounts between the database and Google: their tokens, and the host they see."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Account, Accounts
from pipeline.errors import Rejected
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from pipeline.providers.youtube_tokens import TOKEN_URI, AccessToken, Credential, refresh
from workers.secrets import SecretKeys, secret_keys
from workers.settings import Settings

EARLY = timedelta(minutes=2)  # a token this near its end is renewed before it is used
_TABLE, _COLUMN = "youtube_accounts", "credentials"


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """`TokenSource` over `youtube_accounts`: sealed there, renewed one at a time on all hosts."""

    pool: Pool
    keys: SecretKeys
    account_id: UUID
    token_uri: str

    async def token(self, refused: str | None = None) -> str:
        """The stored token while it is good, else a new one, stored.

        The transaction that holds the refresh lock spans the request to Google, on purpose: a
        second refresh could void the first one's token.
        """
        async with transaction(self.pool) as connection:
            if (token := self._good(await self._read(connection), refused)) is not None:
                return token
        async with transaction(self.pool) as connection:
            await Accounts(connection).lock_refresh(account_id=self.account_id)
            stored = await self._read(connection)
            if (token := self._good(stored, refused)) is not None:
                return token
            credential = Credential(
                client_id=stored["client_id"],
                client_secret=stored["client_secret"],
                refresh_token=stored["refresh_token"],
                scopes=tuple(stored["scopes"]),
            )
            fresh = await refresh(credential, token_uri=self.token_uri, account_id=self.account_id)
            await Accounts(connection).set_credentials(
                account_id=self.account_id,
                credentials=seal_credential(self.keys, self.account_id, credential, fresh),
                scopes=fresh.scopes,
                token_expires_at=fresh.expires_at,
            )
            return fresh.token

    async def _read(self, connection: Connection) -> dict[str, Any]:
        sealed = await Accounts(connection).credentials(account_id=self.account_id)
        text = self.keys.open(sealed, table=_TABLE, row=self.account_id, column=_COLUMN)
        stored: dict[str, Any] = json.loads(text)
        return stored

    def _good(self, stored: dict[str, Any], refused: str | None) -> str | None:
        token: str = stored["access_token"]
        ends = datetime.fromisoformat(stored["expires_at"])
        return token if token != refused and datetime.now(UTC) < ends - EARLY else None


def seal_credential(
    keys: SecretKeys, account_id: UUID, credential: Credential, fresh: AccessToken
) -> dict[str, Any]:
    """The envelope for an account's `credentials`."""
    stored = {
        "client_id": credential.client_id,
        "client_secret": credential.client_secret,
        "refresh_token": fresh.refresh_token,
        "scopes": fresh.scopes,
        "access_token": fresh.token,
        "expires_at": fresh.expires_at.isoformat(),
    }
    return keys.seal(json.dumps(stored), table=_TABLE, row=account_id, column=_COLUMN)


def _now() -> datetime:
    return datetime.now(UTC)


def token_uri(settings: Settings) -> str:
    return settings.google_token_uri or TOKEN_URI


def youtube_hosts(settings: Settings, pool: Pool) -> Callable[[Account, str], YouTubeHost]:
    """From an account to YouTube as it sees it."""
    keys = secret_keys(settings)
    chance = random.Random()  # noqa: S311 - spreads retries, guards nothing

    def host_for(account: Account, channel_name: str) -> YouTubeHost:
        if account.provider != "youtube" or account.channel_id is None:
            raise Rejected(
                f"account {account.email} of channel {channel_name!r} belongs to the embedded"
                " host: give the channel a YouTube account with `ytempire account add --channel`"
            )
        return YouTubeHost(
            StoredTokens(pool, keys, account.id, token_uri(settings)),
            YouTubeOptions(account.id, account.channel_id, settings.google_api_root),
            clock=_now,
            chance=chance,
        )

    return host_for
