"""Requests to YouTube: Google's client, each request in a thread with an HTTP object of its own.

httplib2 is not thread-safe, so nothing of it is shared; what is shared is the description of the
API, which makes requests and sends none.
"""

import asyncio
import http.client
import json
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httplib2
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import build_http

from pipeline.errors import StageError, Transient
from pipeline.providers.youtube_errors import Action, Refusal, failure, read_refusal, rule_for

T = TypeVar("T")

CANCEL_PATIENCE_SECONDS = 4.0
NETWORK_TROUBLE = (OSError, httplib2.HttpLib2Error, http.client.HTTPException)


# Longer than the database may take: then the request is not sent.
METER_TIMEOUT_SECONDS = 75.0

# Of their own: a request may hang for its whole timeout, and the loop's default threads are few and
# needed by everybody.
_THREADS = ThreadPoolExecutor(32, thread_name_prefix="youtube")


class TokenSource(Protocol):
    """Where the access token of one account comes from."""

    async def token(self, refused: str | None = None) -> str:
        """A token that should work; `refused` is one that did not, and is not given again.

        Raises `Waiting` (with `trouble`) when the account must be authorised anew.
        """
        ...


class QuotaMeter(Protocol):
    """Counts requests against what Google grants."""

    async def sent(self, method: str) -> None:
        """Count one request of a method (`videos.list`), durably: it is called before the request
        is sent, and counts whatever becomes of it. What it raises stops the request."""
        ...


@cache
def api(name: str, version: str, root: str | None) -> Any:
    """Google's client for an API, from the description in the SDK: no request is sent for it.

    `root` replaces scheme and host. The client's own `api_endpoint` would leave uploads on https.
    """
    document = json.loads(get_static_doc(name, version))
    if root is not None:
        document["rootUrl"] = root.rstrip("/") + "/"
    # This HTTP object is never used: every request is given its own.
    return build_from_document(document, http=build_http())


class YouTubeCalls:
    """Sends requests with one account's token and turns refusals into our errors."""

    def __init__(
        self,
        tokens: TokenSource,
        *,
        account_id: UUID,
        meter: QuotaMeter,
        clock: Callable[[], datetime],
        chance: random.Random,
        root: str | None = None,
    ) -> None:
        self._tokens = tokens
        self._meter = meter
        self._account_id = account_id
        self._clock = clock
        self._chance = chance
        self._root = root

    @property
    def data(self) -> Any:
        """The Data API v3; makes requests for `send`."""
        return api("youtube", "v3", self._root)

    @property
    def analytics(self) -> Any:
        """The Analytics API v2; makes requests for `send`."""
        return api("youtubeAnalytics", "v2", self._root)

    def now(self) -> datetime:
        return self._clock()

    async def send(self, make: Callable[[], Any], doing: str) -> dict[str, Any]:
        """Send the request that `make` makes; the answer's JSON object.

        Raises the error that the rule of a refusal asks for, `Transient` for trouble on the way
        and for an answer that is no object.
        """
        try:
            answer = await self.in_thread(lambda own: make().execute(http=own), doing)
        except NETWORK_TROUBLE as error:
            raise Transient(f"{doing}: YouTube cannot be reached ({_named(error)})") from error
        except HttpError as error:
            raise self.failure(error, doing) from error
        if not isinstance(answer, dict):
            raise Transient(f"{doing}: YouTube's answer is no JSON object")
        return answer

    async def in_thread(self, work: Callable[[AuthorizedHttp], T], doing: str) -> T:
        """Run `work` in a thread with an HTTP object of its own, and once more after a 401.

        What else goes wrong leaves as the SDK raises it, except an answer that is no JSON
        (`Transient`).
        """
        token = await self._tokens.token()
        try:
            return await self._work(work, token, doing)
        except HttpError as error:
            if rule_for(refusal_of(error)).action is not Action.REFRESH:
                raise
        token = await self._tokens.token(refused=token)
        return await self._work(work, token, doing)

    async def _work(self, work: Callable[[AuthorizedHttp], T], token: str, doing: str) -> T:
        loop = asyncio.get_running_loop()

        def count(method: str) -> None:
            counted = asyncio.run_coroutine_threadsafe(self._meter.sent(method), loop)
            counted.result(METER_TIMEOUT_SECONDS)

        def run() -> T:
            own = _MeteredHttp(token, count)
            try:
                return work(own)
            finally:
                own.close()

        working = loop.run_in_executor(_THREADS, run)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # A thread cannot be stopped: until its request is answered, the work is not over, and
            # nobody should ask YouTube what became of it.
            await asyncio.wait({working}, timeout=CANCEL_PATIENCE_SECONDS)
            working.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        except ValueError as error:
            raise Transient(f"{doing}: YouTube's answer is no JSON") from error

    def failure(self, error: HttpError, doing: str) -> StageError:
        """The error that the rule of a refusal asks for."""
        return self.failure_of(refusal_of(error), doing)

    def failure_of(self, refusal: Refusal, doing: str) -> StageError:
        return failure(
            refusal,
            doing=doing,
            account_id=self._account_id,
            now=self._clock(),
            chance=self._chance,
        )


class _MeteredHttp(AuthorizedHttp):  # type: ignore[misc] # the library has no types
    """Counts each request before it is sent, repeats included.

    No refreshing inside: it would not be one at a time, and would not be stored.
    """

    def __init__(self, token: str, count: Callable[[str], None]) -> None:
        super().__init__(_bearer(token), http=build_http(), refresh_status_codes=())
        self._count = count

    def request(self, uri: str, method: str = "GET", *args: Any, **kwargs: Any) -> Any:
        named = method_of(method, uri)
        if named is not None:
            self._count(named)
        return super().request(uri, method, *args, **kwargs)


def method_of(verb: str, uri: str) -> str | None:
    """The API method that a request calls (`videos.insert`); None for the bytes of an upload, which
    belong to the insert that opened it. What is not in the description is `unknown`."""
    parts = urlsplit(uri)
    if "upload_id=" in parts.query:
        return None
    return _methods().get((verb, parts.path.strip("/")), "unknown")


@cache
def _methods() -> Mapping[tuple[str, str], str]:
    """From verb and path to method, as the SDK describes the APIs."""
    found: dict[tuple[str, str], str] = {}
    for name, version, prefix in (("youtube", "v3", ""), ("youtubeAnalytics", "v2", None)):
        document = json.loads(get_static_doc(name, version))
        own = f"{name}." if prefix is None else prefix
        for resource, described in document["resources"].items():
            for method, details in described.get("methods", {}).items():
                protocols = details.get("mediaUpload", {}).get("protocols", {})
                paths = [document["servicePath"] + details["path"]]
                paths += [protocol["path"] for protocol in protocols.values()]
                for path in paths:
                    found[details["httpMethod"], path.strip("/")] = f"{own}{resource}.{method}"
    return MappingProxyType(found)


def refusal_of(error: HttpError) -> Refusal:
    """What a refusal of the SDK says."""
    return read_refusal(int(error.resp.status), error.content)


def _bearer(token: str) -> Credentials:
    """The token as the SDK takes it, without anything to refresh it by."""
    return Credentials(token)  # type: ignore[no-untyped-call] # google-auth types it in part


def _named(error: BaseException) -> str:
    """The error's class and number: its text may hold an address with a secret in it."""
    number = getattr(error, "errno", None)
    return f"{type(error).__name__}{f' {number}' if number is not None else ''}"
