"""Our OAuth client, from the file that Google's console gives."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import Rejected
from pipeline.providers.youtube_grant import AUTH_URI, OAuthClient
from pipeline.providers.youtube_tokens import TOKEN_URI
from workers.settings import Settings

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _Installed(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    client_id: str = Field(min_length=1, max_length=300)
    client_secret: str = Field(min_length=1, max_length=300, repr=False)
    auth_uri: str = AUTH_URI
    token_uri: str = TOKEN_URI


class _ClientFile(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    installed: _Installed


def parse_client(text: str, settings: Settings) -> tuple[OAuthClient, str]:
    """The client of a `client_secret.json`, and where codes are redeemed: the settings' token
    endpoint, else the file's.

    Raises `Rejected` that names fields and no value, also for a client of another type than Desktop
    app and for addresses without https.
    """
    try:
        given = _ClientFile.model_validate_json(text).installed
    except ValidationError as error:
        names = ", ".join(
            ".".join(map(str, problem["loc"])) or "it is no JSON object"
            for problem in error.errors(include_input=False)
        )
        raise Rejected(
            f"not the file of an OAuth client of the type Desktop app: {names}"
        ) from None
    token_uri = settings.google_token_uri or given.token_uri
    for name, address in (("auth_uri", given.auth_uri), ("token_uri", token_uri)):
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise Rejected(f"the {name} of the OAuth client must begin with https://")
    return OAuthClient(given.client_id, given.client_secret, given.auth_uri), token_uri
