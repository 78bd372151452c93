"""Reading from servers that nobody here controls: bounded in bytes, time and hops.

The caps hold for what is received and for what it unpacks to. Whatever goes wrong is one of our
errors and names host and path, never the query, which may hold a key.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urljoin

import httpx

from pipeline.errors import Rejected, Transient

# Wikimedia refuses agents that do not say what they are.
USER_AGENT = f"ytempire/0.1 (self-hosted video production line; httpx/{httpx.__version__})"
LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0
CONNECT_SECONDS = 10.0
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer may take, redirects included."""

    bytes: int = 5_000_000
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of status 200, unpacked."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]


class Refused(Exception):
    """A server answered with a status that is not 200; the caller knows what that means there."""

    def __init__(self, status: int, headers: Mapping[str, str], where: str) -> None:
        super().__init__(f"{where} answered {status}")
        self.status = status
        self.headers = headers
        self.where = where

    def retry_after(self, now: datetime) -> float | None:
        """The seconds that `Retry-After` asks for, at most a day; None when it says nothing."""
        return parse_retry_after(self.headers.get("retry-after"), now)


def new_client() -> httpx.AsyncClient:
    """A client for `fetch`; the caller closes it. It follows nothing and reads no environment."""
    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(20.0, connect=CONNECT_SECONDS),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
    )


async def fetch(
    client: httpx.AsyncClient,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Answer:
    """Read one answer whole.

    Raises `Refused` for any other status than 200 (a redirect too), `Transient` when the server
    cannot be reached in time, `Rejected` for an answer over the limits.
    """
    chosen = limits or Limits()
    request = client.build_request("GET", url, params=params, headers=headers)
    async with opened(client, request, chosen) as response:
        body = b"".join([part async for part in unpacked(response, chosen.bytes)])
        return Answer(body, media_type_of(response), response.headers)


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient, request: httpx.Request, limits: Limits
) -> AsyncIterator[httpx.Response]:
    """The response of status 200, to be read within the block; the time limit holds for both."""
    where = place(str(request.url))
    try:
        async with asyncio.timeout(limits.seconds):
            response = await client.send(request, stream=True)
            try:
                if response.status_code != httpx.codes.OK:
                    raise Refused(response.status_code, response.headers, where)
                yield response
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise Transient(f"{where} did not answer within {limits.seconds:.0f} s") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Rejected(f"{where} is not an address that can be read") from error
    except httpx.HTTPError as error:
        raise Transient(f"{where} cannot be read: {type(error).__name__}") from error


async def unpacked(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """The body in parts, unpacked; `Rejected` as soon as there is more than `limit` of it.

    httpx would unpack a whole part at once, a thousandfold in the worst case; this stops in time.
    """
    where = place(str(response.url))
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", ""}:
        raise Rejected(f"{where} answers in the coding {coding!r}, which was not asked for")
    if int(response.headers.get("content-length") or 0) > limit:
        too_large(where, limit)
    inflate = zlib.decompressobj(wbits=31) if coding == "gzip" else None
    total = 0
    async for raw in response.aiter_raw():
        try:
            part = inflate.decompress(raw, limit - total + 1) if inflate else raw
        except zlib.error as error:
            raise Transient(f"{where} sent damaged gzip data") from error
        total += len(part)
        if total > limit:
            too_large(where, limit)
        yield part
    if inflate is not None and not inflate.eof:
        raise Transient(f"{where} sent gzip data that ends too early")


def too_large(where: str, limit: int) -> NoReturn:
    """Raise for an answer over its limit."""
    raise Rejected(f"{where} answers with more than {limit / 1_000_000:g} MB: refused")


def read_json(answer: Answer, where: str) -> Any:
    """The answer as JSON; `Transient` for anything else, which is how proxies say they are down."""
    if "json" not in answer.media_type:
        raise Transient(f"{where} answered with {answer.media_type or 'no type'} instead of JSON")
    try:
        return json.loads(answer.body, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise Transient(f"{where} answered with something that is not JSON") from error


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def media_type_of(response: httpx.Response) -> str:
    """The media type without its parameters, in small letters; empty when none is given."""
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def redirect_target(refused: Refused, url: str) -> str | None:
    """The absolute address a redirect leads to; None when the answer was no redirect."""
    location = refused.headers.get("location")
    if refused.status not in _REDIRECTS or not location:
        return None
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Rejected(f"{refused.where} redirects to an address that is none") from error


def place(url: str) -> str:
    """Host and path of an address, for messages: without user, query and fragment."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "an address that is none"
    port = f":{parsed.port}" if parsed.port else ""
    return f"{parsed.scheme}://{parsed.host}{port}{parsed.path}"[:300]


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a `Retry-After` header, a number or a date; None for anything else."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_SECONDS)


def web_address(text: object) -> str | None:
    """The text when it is an http address of a usable length, else None."""
    address = text.strip() if isinstance(text, str) else ""
    plain = address.startswith(("http://", "https://")) and len(address) <= 1_000
    return address if plain and not any(c.isspace() for c in address) else None


def whole_number(value: Any) -> int | None:
    """A count as JSON holds it; None for anything else."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    return value if is_count else None
