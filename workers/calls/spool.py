"""Answers that were paid for, kept on this host until their outcome is committed.

An answer is written here the moment it arrives, sealed and 0600, so that it survives a database or
an artifact store that is away, and this process. Whoever claims the step next on this host adopts
it; on another host the vendor is asked what became of the call.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from db.pool import Pool, acquired
from db.repositories.calls import Calls
from pipeline.calls import RawAnswer
from pipeline.errors import Waiting
from pipeline.providers.durable import make_folder, write_durably
from workers.secrets import SecretKeys

log = structlog.get_logger()

FOLDER = "spool"
SUFFIX = ".answer"


def encode_answer(answer: RawAnswer) -> bytes:
    """The answer as a file of its own: JSON, its body as text where it is text."""
    try:
        body = {"text": answer.body.decode()}
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(answer.body).decode()}
    document = {
        "v": 1,
        "at": answer.at.isoformat(),
        "milliseconds": answer.milliseconds,
        "headers": dict(answer.headers),
        "body": body,
    }
    return json.dumps(document, ensure_ascii=False).encode()


def decode_answer(content: bytes) -> RawAnswer:
    """What `encode_answer` made; `ValueError` for anything else."""
    document = json.loads(content)
    try:
        body: Mapping[str, str] = document["body"]
        if "text" in body:
            data = body["text"].encode()
        else:
            data = base64.b64decode(body["base64"], validate=True)
        return RawAnswer(
            body=data,
            headers=dict(document["headers"]),
            milliseconds=int(document["milliseconds"]),
            at=datetime.fromisoformat(document["at"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no stored answer: {error}") from error


class Spool:
    """The spooled answers of this host, by the id of their call."""

    def __init__(self, folder: Path, keys: SecretKeys) -> None:
        self._folder = folder
        self._keys = keys

    async def keep(self, call_id: UUID, answer: RawAnswer) -> None:
        """Write the answer durably. A disk that refuses is logged: the outcome may still commit."""
        try:
            await asyncio.to_thread(self._keep, call_id, answer)
        except OSError as error:
            log.warning("answer.not_spooled", call=str(call_id), error=str(error))

    def _keep(self, call_id: UUID, answer: RawAnswer) -> None:
        text = base64.b64encode(encode_answer(answer)).decode()
        envelope = self._keys.seal(text, **_place(call_id))
        make_folder(self._folder.parent)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_durably(self._file(call_id), json.dumps(envelope).encode(), mode=0o600)

    async def find(self, call_id: UUID) -> RawAnswer | None:
        """The call's answer; None when there is none here, or none that can be opened."""
        return await asyncio.to_thread(self._find, call_id)

    def _find(self, call_id: UUID) -> RawAnswer | None:
        try:
            envelope: Any = json.loads(self._file(call_id).read_bytes())
            text = self._keys.open(envelope, **_place(call_id))
            return decode_answer(base64.b64decode(text))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, Waiting) as error:
            log.warning("answer.unreadable", call=str(call_id), error=str(error))
            return None

    async def drop(self, call_id: UUID) -> None:
        """Its outcome is committed: nobody needs the file any more."""
        await asyncio.to_thread(self._file(call_id).unlink, missing_ok=True)

    async def list_calls(self) -> list[UUID]:
        """The calls that have an answer here."""
        return await asyncio.to_thread(self._list_calls)

    def _list_calls(self) -> list[UUID]:
        return [UUID(file.stem) for file in self._folder.glob(f"*{SUFFIX}") if file.is_file()]

    def _file(self, call_id: UUID) -> Path:
        return self._folder / f"{call_id}{SUFFIX}"


async def sweep_spool(pool: Pool, spool: Spool) -> int:
    """Remove the answers whose calls have an outcome; how many there were. A worker that lost its
    step, or died after the outcome, leaves such files."""
    call_ids = await spool.list_calls()
    if not call_ids:
        return 0
    async with acquired(pool) as connection:
        closed = await Calls(connection).list_closed(call_ids=call_ids)
    for call_id in closed:
        await spool.drop(call_id)
    return len(closed)


def _place(call_id: UUID) -> dict[str, Any]:
    return {"table": "provider_calls", "row": call_id, "column": "response_artifact"}
