"""A vendor's stand-in over real HTTP on 127.0.0.1, with a journal of what it was asked."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What is sent back. `body` is sent as it is when it is bytes, else as JSON. Of a `lost` reply
    the caller sees a connection that breaks, of a `late` one nothing for so many seconds: what was
    asked for has been done all the same."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    lost: bool = False
    late: float = 0.0

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class VendorServer:
    """Serves `answer` from threads. Replies put into `next` are given first, one a paid call; an
    entry may be a function of the request."""

    def __init__(self) -> None:
        self.journal: list[Asked] = []
        self.next: list[Reply | Callable[[Asked], Reply]] = []
        self._lock = threading.Lock()
        handler = _handler(self)
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def planned(self, asked: Asked) -> Reply | None:
        """The next reply that a test has planned, None when there is none."""
        with self._lock:
            planned = self.next.pop(0) if self.next else None
        return planned(asked) if callable(planned) else planned

    def handle(self, asked: Asked) -> Reply:
        with self._lock:
            self.journal.append(asked)
        return self.answer(asked)

    def asked(self, method: str, part: str) -> list[Asked]:
        """What was asked by this method of paths with this part, in order."""
        return [one for one in self.journal if one.method == method and part in one.path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away, or was killed, is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler(owner: VendorServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                method=self.command,
                path=url.path,
                query=parse_qs(url.query),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            reply = owner.handle(asked)
            if reply.late:
                time.sleep(reply.late)
            if reply.lost:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = reply.content()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.media_type)
            self.send_header("Content-Length", str(len(content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            """The journal says it."""

    return Handler
