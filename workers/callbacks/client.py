"""Sends one callback over HTTP: to an address that was looked at, and nowhere else.

httpcore is used directly. It takes an address as it is written (a token in a query is not
re-encoded), follows no redirect, reads no proxy from the environment and keeps no cookie; its
network backend is where a name becomes an address, once, and that address is connected to.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import httpcore
import httpx

from workers.callbacks.answers import read_retry_after
from workers.callbacks.rules import RefusedAddress, Target, is_public, resolved_address

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 20.0
LARGEST_REPLY_BYTES = 64 * 1024
TEXT_BYTES = 4096
MOST_ADDRESSES = 4

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Unreachable(Exception):
    """No answer came; the message names no path and no query."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said: `text` is the beginning of its body, `retry_after` in seconds."""

    status: int
    text: str
    retry_after: float | None


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a host, by the system's resolver. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Resolves once, checks every answer, and connects to an address that was checked.

    TLS and the Host header keep the name: only the socket knows the address.
    """

    def __init__(self, resolve_: Resolve, *, private: bool) -> None:
        self._resolve = resolve_
        self._private = private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the backend's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        failure: Exception | None = None
        for address in addresses[:MOST_ADDRESSES]:
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address: {error.strerror}") from None
        if not self._private:
            # All of them: which one is connected to must not be up to who answers.
            for address in found:
                if not is_public(resolved_address(address)):
                    raise RefusedAddress(f"{host} has the address {address}, which is not public")
        return found


class CallbackSender:
    """Sends callbacks, each on a connection of its own."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, resolve_: Resolve = resolve) -> None:
        self._tls = tls or httpx.create_ssl_context(trust_env=True)
        self._resolve = resolve_

    async def send(self, target: Target, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST the body once. Raises `Unreachable` when no answer came, `RefusedAddress` when the
        name has an address that is not allowed."""
        backend = PinnedBackend(self._resolve, private=target.listed)
        sent = {
            "Host": target.place,
            "User-Agent": f"ytempire/{version('ytempire')}",
            "Connection": "close",
            **headers,
        }
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                httpcore.AsyncConnectionPool(
                    ssl_context=self._tls, max_connections=1, network_backend=backend
                ) as pool,
                pool.stream(
                    "POST",
                    httpcore.URL(
                        scheme=target.scheme.encode(),
                        host=target.host.encode(),
                        port=target.port,
                        target=target.path.encode(),
                    ),
                    headers=[(name.encode(), value.encode()) for name, value in sent.items()],
                    content=body,
                    extensions={"timeout": {"connect": CONNECT_SECONDS}},
                ) as response,
            ):
                answer = _answer(response, b"")
                answer = _answer(response, await _beginning(response))
        except TimeoutError:
            if answer is None:
                raise Unreachable(f"no answer within {TOTAL_SECONDS:.0f} s") from None
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            ssl.SSLError,
        ) as error:
            # A status that was read stands, whatever became of the body after it.
            if answer is None:
                raise Unreachable(f"{type(error).__name__}: {str(error) or 'no answer'}") from error
        if answer is None:
            raise Unreachable("no answer")
        return answer


async def _beginning(response: httpcore.Response) -> bytes:
    """At most the largest reply; what comes after it is not read."""
    kept = b""
    read = 0
    async for chunk in response.aiter_stream():
        kept += chunk[: TEXT_BYTES - len(kept)] if len(kept) < TEXT_BYTES else b""
        read += len(chunk)
        if read >= LARGEST_REPLY_BYTES:
            break
    return kept


def _answer(response: httpcore.Response, beginning: bytes) -> Answer:
    wishes = [value for name, value in response.headers if name.lower() == b"retry-after"]
    wish = wishes[-1].decode("latin-1") if wishes else None
    return Answer(
        status=response.status,
        text=beginning.decode("utf-8", "replace"),
        retry_after=read_retry_after(wish, now=datetime.now(UTC)),
    )
