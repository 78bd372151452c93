"""YouTube accounts between the database and Google: tokens, hosts, and how one is authorised."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Account, Accounts
from pipeline.errors import Rejected
from pipeline.providers.youtube import (
    ChannelIdentity,
    YouTubeHost,
    YouTubeOptions,
    identify,
)
from pipeline.providers.youtube_calls import YouTubeCalls
from pipeline.providers.youtube_tokens import TOKEN_URI, AccessToken, Credential, refresh
from workers.secrets import SecretKeys, secret_keys
from workers.settings import Settings

EARLY = timedelta(minutes=2)  # a token this near its end is renewed before it is used
_TABLE, _COLUMN = "youtube_accounts", "credentials"
_AUTH = "https://www.googleapis.com/auth/"
# Each is needed for something; any of its scopes will do.
NEEDED_SCOPES = {
    "uploading": ("youtube.upload", "youtube", "youtube.force-ssl"),
    "publishing and captions": ("youtube.force-ssl",),
    "reading its channel": ("youtube.readonly", "youtube", "youtube.force-ssl"),
}


class CredentialsFile(BaseModel):
    """An `authorized_user` file, as Google's tools write it. Its token URI is not used."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    type: str = "authorized_user"
    client_id: str = Field(min_length=1, max_length=300)
    client_secret: str = Field(min_length=1, max_length=300, repr=False)
    refresh_token: str = Field(min_length=1, max_length=2000, repr=False)
    scopes: tuple[str, ...] = ()


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


def parse_credentials(text: str) -> Credential:
    """The credential in an authorized_user file. Raises `Rejected` that names fields, no value."""
    try:
        given = CredentialsFile.model_validate_json(text)
    except ValidationError as error:
        names = ", ".join(
            ".".join(map(str, problem["loc"])) or "it is no JSON object"
            for problem in error.errors(include_input=False)
        )
        raise Rejected(f"not an authorized_user file of Google's: {names}") from None
    if given.type != "authorized_user":
        raise Rejected(f"a file of type {given.type[:40]!r}; an account takes authorized_user")
    return Credential(
        given.client_id, given.client_secret, given.refresh_token, tuple(given.scopes)
    )


@dataclass(frozen=True, slots=True)
class Authorised:
    """A credential that works, and whose channel it is."""

    credential: Credential
    token: AccessToken
    identity: ChannelIdentity


async def authorise(settings: Settings, credential: Credential, *, account_id: UUID) -> Authorised:
    """Renew the token and read its channel. Raises `Waiting` for a dead grant and for an account
    without a channel, `Rejected` for one that lacks scopes; nothing is stored."""
    fresh = await refresh(credential, token_uri=token_uri(settings), account_id=account_id)
    granted = {scope.removeprefix(_AUTH) for scope in fresh.scopes}
    lacking = [use for use, any_of in NEEDED_SCOPES.items() if granted.isdisjoint(any_of)]
    if lacking:
        wanted = ", ".join(NEEDED_SCOPES[use][0] for use in lacking)
        raise Rejected(
            f"the account did not grant what is needed for {' and '.join(lacking)}: authorise it"
            f" with the scopes {wanted} too"
        )
    calls = YouTubeCalls(
        _OneToken(fresh.token),
        account_id=account_id,
        clock=_now,
        chance=random.Random(),  # noqa: S311 - spreads retries, guards nothing
        root=settings.google_api_root,
    )
    return Authorised(credential, fresh, await identify(calls))


@dataclass(frozen=True, slots=True)
class _OneToken:
    """A token just made: there is no better one."""

    value: str

    async def token(self, refused: str | None = None) -> str:
        return self.value
