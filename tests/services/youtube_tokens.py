"""A token source in memory, for hosts under test: real refreshes, nothing stored."""

from uuid import UUID, uuid4

from pipeline.providers.youtube_tokens import Credential, refresh
from tests.services.youtube_world import Account


class MemoryTokens:
    """The tokens of one of the fake's accounts."""

    def __init__(self, account: Account, token_uri: str) -> None:
        self.account_id: UUID = uuid4()
        self._credential = Credential(
            account.client_id, account.client_secret, account.refresh_token, account.scopes
        )
        self._token_uri = token_uri
        self._token: str | None = None
        self.refreshed = 0

    async def token(self, refused: str | None = None) -> str:
        if self._token is None or self._token == refused:
            self.refreshed += 1
            fresh = await refresh(
                self._credential, token_uri=self._token_uri, account_id=self.account_id
            )
            self._token = fresh.token
        return self._token
