"""How a YouTube account is added: first its token must work and its channel be the right one."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import AccountRow, Accounts
from db.repositories.channels import ChannelRow, Channels
from pipeline.errors import Rejected
from pipeline.providers.youtube import ChannelIdentity, identify
from pipeline.providers.youtube_calls import YouTubeCalls
from pipeline.providers.youtube_tokens import AccessToken, Credential, refresh
from workers.accounts.quota_meter import ProjectMeter
from workers.accounts.youtube import seal_credential, token_uri
from workers.channels import require_channel
from workers.runs.starting import wake_runs
from workers.secrets import SecretKeys
from workers.settings import Settings

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


async def authorise(
    settings: Settings, pool: Pool, credential: Credential, *, project: str
) -> Authorised:
    """Renew the token and read its channel, which counts on the project.

    Raises `Waiting` for a dead grant and for an account without a channel, `Rejected` for one that
    lacks scopes; nothing is stored.
    """
    nobody = UUID(int=0)
    fresh = await refresh(credential, token_uri=token_uri(settings), account_id=nobody)
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
        account_id=nobody,
        meter=ProjectMeter(pool, project),
        clock=lambda: datetime.now(UTC),
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


class WrongChannel(Rejected):
    """The account belongs to another YouTube channel than the one it was to serve."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an operator says of an account; `channel` is the name or id of one of ours. What is not
    said stays as it is stored, or is the default: a primary, 5 uploads, 10,000 units."""

    email: str
    credential: Credential
    channel: str | None
    project: str | None
    is_reserve: bool | None
    upload_limit: int | None
    quota_limit: int | None
    grant_expires_at: datetime | None = None


async def add_account(
    settings: Settings, pool: Pool, keys: SecretKeys, new: NewAccount
) -> AccountRow:
    """Add the account, or authorise the one with this address and channel anew; runs that waited
    for it go on.

    Raises `WrongChannel`, `NotFound` for an unknown channel, and what `authorise` raises; nothing
    is stored then.
    """
    project = new.project or _project(new.credential)
    authorised = await authorise(settings, pool, new.credential, project=project)
    async with transaction(pool) as connection:
        channel = await _channel(connection, new.channel, authorised.identity)
        accounts, identity = Accounts(connection), authorised.identity
        known = await accounts.lock_named(email=new.email, channel_id=identity.channel_id)
        account_id = known or uuid4()
        await accounts.add(
            account_id=account_id,
            email=new.email,
            account_name=identity.title[:100],
            channel_id=identity.channel_id,
            channel_handle=identity.handle,
            credentials=seal_credential(keys, account_id, new.credential, authorised.token),
            scopes=authorised.token.scopes,
            token_expires_at=authorised.token.expires_at,
            project=project,
            is_reserve=new.is_reserve,
            upload_limit=new.upload_limit,
            quota_limit=new.quota_limit,
            grant_expires_at=new.grant_expires_at,
        )
        await accounts.record_event(
            account_id=account_id,
            event="authorised" if known else "added",
            reason="by the operator",
        )
        if channel is not None:
            await accounts.allow(
                channel_id=channel.id, account_id=account_id, is_primary=not new.is_reserve
            )
        await wake_runs(connection, account_id)
        return (await accounts.list(only=str(account_id)))[0]


async def _channel(
    connection: Connection, named: str | None, identity: ChannelIdentity
) -> ChannelRow | None:
    """The channel of ours that the account serves; it becomes this YouTube channel if it was none
    yet."""
    channels = Channels(connection)
    owned = await channels.find_youtube(youtube_channel_id=identity.channel_id)
    if named is None:
        return owned
    channel = await require_channel(connection, named)
    if channel.youtube_channel_id is None and owned is None:
        await channels.set_youtube(channel_id=channel.id, youtube_channel_id=identity.channel_id)
        return channel
    if owned is None or owned.id != channel.id:
        raise WrongChannel(
            f"the account belongs to the YouTube channel {identity.channel_id}"
            f" ({identity.title!r}), but channel {channel.name!r} is"
            f" {channel.youtube_channel_id or 'none yet'}"
            + (f" and that one is our channel {owned.name!r}" if owned is not None else "")
            + "; nothing was stored"
        )
    return channel


def _project(credential: Credential) -> str:
    """The Cloud project's number, which every OAuth client id begins with: accounts of one client
    share its quota."""
    return credential.client_id.partition("-")[0][:100]
