"""Tokens and a meter in memory, for hosts under test: real refreshes, nothing stored."""

import random
from datetime import datetime
from uuid import UUID, uuid4

from pipeline.providers.trends_youtube import YouTubePopular
from pipeline.providers.youtube_calls import YouTubeCalls
from pipeline.providers.youtube_tokens import Credential, refresh
from tests.services.youtube_server import YouTubeServer
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


class MemoryMeter:
    """Remembers the methods that were called, in their order."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def sent(self, method: str) -> None:
        self.methods.append(method)


def youtube_calls(youtube: YouTubeServer, account: Account, *, now: datetime) -> YouTubeCalls:
    """The API through one of the fake's accounts."""
    tokens = MemoryTokens(account, youtube.token_uri)
    return YouTubeCalls(
        tokens,
        account_id=tokens.account_id,
        meter=MemoryMeter(),
        clock=lambda: now,
        chance=random.Random(1),
        root=youtube.root,
    )


def youtube_popular(youtube: YouTubeServer, *languages: str, now: datetime) -> YouTubePopular:
    """The chart through an account of its own."""
    calls = youtube_calls(youtube, youtube.world.add_account("UC_reader"), now=now)

    async def open_calls() -> YouTubeCalls:
        return calls

    return YouTubePopular(open_calls, languages=languages, clock=lambda: now)
