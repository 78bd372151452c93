"""A port of this machine that waits for one answer of Google's, brought by the operator's browser.

Anybody on this machine may knock, and any web page may send a browser here. So only an answer with
the state that we made counts; whatever else comes is refused, and the waiting goes on.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from pipeline.errors import Rejected

HOST = "127.0.0.1"
MOST_BYTES = 16 * 1024
READ_SECONDS = 10.0

_PAGE = """HTTP/1.1 {status}\r
Content-Type: text/html; charset=utf-8\r
Content-Security-Policy: default-src 'none'\r
Referrer-Policy: no-referrer\r
Cache-Control: no-store\r
Connection: close\r
Content-Length: {size}\r
\r
"""


class Loopback:
    """The open port. `answer` waits for the code that belongs to a state."""

    def __init__(self) -> None:
        self.port = 0
        self._state: str | None = None
        self._answer: asyncio.Future[str] | None = None

    @property
    def redirect_uri(self) -> str:
        return f"http://{HOST}:{self.port}/"

    async def answer(self, state: str, *, timeout_seconds: float) -> str:
        """The code. Raises `Rejected` when consent was denied, or nobody came in time."""
        self._state = state
        self._answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._answer
        except TimeoutError:
            raise Rejected(
                f"nobody answered within {timeout_seconds:.0f} s: nothing was stored"
            ) from None
        finally:
            self._answer = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one visitor."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, words = self._judge(head.decode("latin-1"))
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            status, words = "400 Bad Request", "That was no request."
        body = f"<!doctype html><title>ytempire</title><p>{words}</p>".encode()
        with suppress(OSError):
            writer.write(_PAGE.format(status=status, size=len(body)).encode() + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    def _judge(self, head: str) -> tuple[str, str]:
        lines = head.split("\r\n")
        verb, _, rest = lines[0].partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        hosts = {
            line.partition(":")[2].strip() for line in lines[1:] if line.lower().startswith("host:")
        }
        if verb != "GET" or target.path != "/" or hosts != {f"{HOST}:{self.port}"}:
            return "404 Not Found", "There is nothing here."
        given = {name: values[-1] for name, values in parse_qs(target.query).items()}
        waiting = self._answer
        known = self._state is not None and hmac.compare_digest(
            given.get("state", "").encode(), self._state.encode()
        )
        if waiting is None or waiting.done() or not known:
            return "400 Bad Request", "This answer belongs to no question of ours."
        if "code" in given:
            waiting.set_result(given["code"])
            return "200 OK", "Thank you. You can close this page and go back to the terminal."
        said = given.get("error", "no code")[:60]
        waiting.set_exception(Rejected(f"the grant was not given: {said}; nothing was stored"))
        return "200 OK", "The grant was not given. You can close this page."


@asynccontextmanager
async def open_loopback(port: int) -> AsyncIterator[Loopback]:
    """Listen on a port of the loopback address; 0 takes a free one. Raises OSError for a taken
    one."""
    loopback = Loopback()
    server = await asyncio.start_server(loopback.serve, HOST, port, limit=MOST_BYTES)
    try:
        loopback.port = server.sockets[0].getsockname()[1]
        yield loopback
    finally:
        server.close()
        await server.wait_closed()
