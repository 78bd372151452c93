"""A small HTTP/1.1 client that costs little, so that the load is not what is measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

BODY = json.dumps(
    {
        "channel": "bench",
        "topic": "Why octopuses have three hearts",
        "facts": ["Two hearts pump blood through the gills.", "Octopus blood is blue."],
    }
).encode()

MakeRequest = Callable[[], bytes]


class Caller(asyncio.Protocol):
    """One kept-alive connection; one request at a time. Reads responses with a Content-Length."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        end = lower.find(b"\r\n", start)
        length = int(lower[start : end if end > 0 else None])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the server closed"))

    async def ask(self, request: bytes) -> int:
        """Send one request; the status of its answer."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connected(address: str, count: int) -> list[Caller]:
    """Connections to a server."""
    parts = urlsplit(address)
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(Caller, parts.hostname, parts.port))[1] for _ in range(count)
    ]


def requests_for(path: str, key: str | None) -> MakeRequest:
    """Makes requests that differ in their Idempotency-Key."""
    lines = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    if key is not None:
        lines += f"X-API-Key: {key}\r\n"
    start = f"{lines}Content-Length: {len(BODY)}\r\nIdempotency-Key: ".encode()
    return lambda: b"".join((start, uuid4().hex.encode(), b"\r\n\r\n", BODY))


async def closed_loop(callers: list[Caller], make: MakeRequest, seconds: float) -> float:
    """Every connection asks again as soon as it was answered; answers (202) a second."""
    until = time.monotonic() + seconds
    accepted = 0

    async def ask(caller: Caller) -> None:
        nonlocal accepted
        while time.monotonic() < until:
            status = await caller.ask(make())
            assert status == 202, status
            accepted += 1

    began = time.monotonic()
    await asyncio.gather(*map(ask, callers))
    return accepted / (time.monotonic() - began)


async def open_loop(
    callers: list[Caller], make: MakeRequest, *, rate: float, seconds: float
) -> list[float]:
    """Requests at fixed moments, whatever becomes of those before; seconds from the moment a
    request was due until its answer, so that waiting for a free connection counts."""
    idle: asyncio.Queue[Caller] = asyncio.Queue()
    for caller in callers:
        idle.put_nowait(caller)
    took: list[float] = []

    async def ask(due: float) -> None:
        caller = await idle.get()
        status = await caller.ask(make())
        assert status == 202, status
        took.append(time.monotonic() - due)
        idle.put_nowait(caller)

    began = time.monotonic()
    async with asyncio.TaskGroup() as asked:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked.create_task(ask(due))
    return took
