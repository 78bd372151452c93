"""uvicorn around the application: where it listens, and how it stops."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from workers.web import make_web
from workers.web.context import Web

GRACE_SECONDS = 10
MOST_CONNECTIONS = 1000
BACKLOG = 1024


class Server(uvicorn.Server):
    """Stops by SIGTERM and SIGINT like uvicorn's, and then returns: uvicorn's own kills the process
    with the signal once more, before pools are closed and an exit code is given."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for each in signals:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)


async def serve_web(web: Web, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until a signal; running requests get 10 seconds to end. `announce` is told the address
    once connections are taken. Raises `OSError` when it cannot listen there."""
    config = uvicorn.Config(
        make_web(web),
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,  # an address may hold what its sender should not have put there
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        name = f"[{host}]" if ":" in host else host
        # All that was loaded stays: looking it over for garbage would hold requests up.
        gc.collect()
        gc.freeze()
        announce(f"http://{name}:{listener.getsockname()[1]}")
        await Server(config).serve(sockets=[listener])
