"""A small HTTP server on this machine for the fakes: real sockets, a journal, faults on demand."""

import http.server
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked; header names are in small letters, a parameter keeps its last value; `target`
    is path and query as they were sent."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""


@dataclass(frozen=True)
class Reply:
    """What is answered. `length` lies about the size of the body when it is given."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), "application/json; charset=utf-8", headers)


class LocalServer:
    """Serves `answer` until the block ends. `journal` holds every request in order.

    `faults` maps a path to the reply given instead of the right one, as often as it is asked.
    """

    def __init__(self) -> None:
        self.journal: list[Request] = []
        self.faults: dict[str, Reply | Callable[[Request], Reply]] = {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._serve(self)

            do_POST = do_GET  # noqa: N815 - the standard library's name

            def log_message(self, *_: object) -> None:
                """Say nothing: a test's output is about failures."""

        self._httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._httpd.server_port}"

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    def paths(self) -> list[str]:
        return [request.path for request in self.journal]

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        size = int(handler.headers.get("content-length") or 0)
        request = Request(
            handler.command,
            parts.path,
            {name: values[-1] for name, values in parse_qs(parts.query).items()},
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(size),
            handler.path,
        )
        self.journal.append(request)
        fault = self.faults.get(parts.path)
        if fault is None:
            reply = self.answer(request)
        else:
            reply = fault(request) if callable(fault) else fault
        handler.send_response_only(reply.status)
        if "Date" not in reply.headers:
            handler.send_header("Date", handler.date_time_string())
        handler.send_header("Content-Type", reply.media_type)
        for name, value in reply.headers.items():
            handler.send_header(name.replace("_", "-"), value)
        length = len(reply.body) if reply.length is None else reply.length
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        try:
            handler.wfile.write(reply.body)
        except OSError:
            handler.close_connection = True  # the reader had enough
        if length != len(reply.body):
            handler.close_connection = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()
