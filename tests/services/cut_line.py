"""A wire to PostgreSQL that a test may cut: a Unix socket that passes everything on, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"
COMMIT = b"COMMIT;"


class CutLine:
    """Between clients of `url` and the server behind `of`, while the block lasts.

    After `lose_commit` the next COMMIT is done, and whoever said it never hears so.
    """

    def __init__(self, of: str) -> None:
        parts = urlsplit(of)
        self._server = Path(parse_qs(parts.query)["host"][0]) / SOCKET
        self._folder = Path(tempfile.mkdtemp(prefix="yt-cut-", dir="/tmp"))
        self.url = parts._replace(query=f"host={self._folder}").geturl()
        self.lost = 0
        self._losing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def lose_commit(self) -> None:
        self._losing = True

    async def cut(self) -> None:
        """As when the server goes away: nobody is let in, and who was in is out."""
        self._listener.close()
        (self._folder / SOCKET).unlink(missing_ok=True)
        for task in list(self._tasks):
            task.cancel()

    async def mend(self) -> None:
        self._listener = await asyncio.start_unix_server(self._serve, self._folder / SOCKET)

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self._folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        inner: asyncio.StreamWriter | None = None
        try:
            answers, inner = await asyncio.open_unix_connection(self._server)
            losing = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, inner, losing))
                group.create_task(self._answer(answers, writer, losing))
        except* (OSError, _Ended):
            pass
        except* asyncio.CancelledError:
            pass
        finally:
            for end in (writer, inner):
                if end is not None:
                    end.transport.abort()
            self._tasks.discard(task)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            if self._losing and COMMIT in data:
                self._losing = False
                losing.set()
            writer.write(data)
            await writer.drain()
        raise _Ended

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            if losing.is_set():
                self.lost += 1
                break
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        raise _Ended


class _Ended(Exception):
    """One side has hung up."""
