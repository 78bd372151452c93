"""YouTube accounts between the database and Google: their tokens, and the host they see."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from db.pool import Pool, acquired
from db.repositories.accounts import Account, Accounts
from pipeline.errors import Rejected, Transient
from pipeline.providers.youtube import YouTubeHost, YouTubeOptions
from pipeline.providers.youtube_tokens import TOKEN_URI, AccessToken, Credential, refresh
from workers.accounts.quota_meter import account_meter
from workers.secrets import SecretKeys, secret_keys
from workers.settings import Settings

EARLY = timedelta(minutes=2)  # a token this near its end is renewed before it is used
LEASE_SECONDS = 90  # longer than Google's token endpoint may take
POLLS_A_SECOND = 5
_TABLE, _COLUMN = "youtube_accounts", "credentials"


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """`TokenSource` over `youtube_accounts`: sealed there, renewed one at a time on all hosts."""

    pool: Pool
    keys: SecretKeys
    account_id: UUID
    token_uri: str
    early: timedelta = EARLY

    async def token(self, refused: str | None = None) -> str:
        """The stored token while it is good, else a new one, stored.

        One process at a time renews: it holds a lease on the account, and no connection, while
        Google answers. The others wait for what it stores; a dead holder's lease runs out.
        Raises `Waiting` (with `trouble`) for a dead grant, `Transient` when Google is away.
        """
        if (token := self._good(await self._read(), refused)) is not None:
            return token
        holder = uuid4()
        for _ in range(LEASE_SECONDS * POLLS_A_SECOND + 1):
            async with acquired(self.pool) as connection:
                sealed = await Accounts(connection).take_refresh(
                    account_id=self.account_id, holder=holder, lease_seconds=LEASE_SECONDS
                )
            if sealed is not None:
                return await self._renew(self._open(sealed), refused, holder)
            await asyncio.sleep(1 / POLLS_A_SECOND)
            if (token := self._good(await self._read(), refused)) is not None:
                return token
        raise Transient("the account's token is being renewed elsewhere, which takes too long")

    async def _renew(self, stored: dict[str, Any], refused: str | None, holder: UUID) -> str:
        try:
            # Renewed between our look and our lease?
            if (token := self._good(stored, refused)) is not None:
                return token
            credential = Credential(
                client_id=stored["client_id"],
                client_secret=stored["client_secret"],
                refresh_token=stored["refresh_token"],
                scopes=tuple(stored["scopes"]),
            )
            fresh = await refresh(credential, token_uri=self.token_uri, account_id=self.account_id)
            async with acquired(self.pool) as connection:
                # A lease that was lost meanwhile stores nothing; the token is as good as theirs.
                await Accounts(connection).set_credentials(
                    account_id=self.account_id,
                    credentials=seal_credential(self.keys, self.account_id, credential, fresh),
                    scopes=fresh.scopes,
                    token_expires_at=fresh.expires_at,
                    holder=holder,
                )
            return fresh.token
        finally:
            async with acquired(self.pool) as connection:
                await Accounts(connection).drop_refresh(account_id=self.account_id, holder=holder)

    async def _read(self) -> dict[str, Any]:
        async with acquired(self.pool) as connection:
            return self._open(await Accounts(connection).credentials(account_id=self.account_id))

    def _open(self, sealed: Mapping[str, Any]) -> dict[str, Any]:
        text = self.keys.open(sealed, table=_TABLE, row=self.account_id, column=_COLUMN)
        stored: dict[str, Any] = json.loads(text)
        return stored

    def _good(self, stored: dict[str, Any], refused: str | None) -> str | None:
        token: str = stored["access_token"]
        ends = datetime.fromisoformat(stored["expires_at"])
        return token if token != refused and datetime.now(UTC) < ends - self.early else None


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
            meter=account_meter(pool, account),
            clock=_now,
            chance=chance,
        )

    return host_for
