"""OpenAI, ElevenLabs and YouTube in a process of their own, with a journal that no crash reaches.

    python -m benchmarks.chaos_provider --journal FILE --seed 1 --noise 0.003

Prints `{"openai", "elevenlabs", "youtube", "token_uri"}` and serves until its stdin closes.
Whatever costs money or can be seen is a line in the journal, on disk before it is answered.
Workers have addresses of their own (`ROOT/w/NUMBER/...`), by which the journal knows who called.

A part of the calls, `--noise`, has its effect and no answer: the connection is cut.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.services import elevenlabs_server, openai_server
from tests.services.elevenlabs_server import ElevenLabsServer
from tests.services.http_server import Asked, Reply, VendorServer
from tests.services.openai_server import OpenAIServer
from tests.services.youtube_server import YouTubeServer
from tests.services.youtube_world import Account, Fault, Session, World

CHARACTER_SECONDS = 0.02
KEPT_RECORDINGS = 500
CUT = Reply(lost=True)


class Journal:
    """Append-only; `note` returns once the line is on disk."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = threading.Lock()

    def note(self, kind: str, *, durable: bool = True, **entry: Any) -> None:
        line = json.dumps({"at": time.time(), "kind": kind, **entry}).encode() + b"\n"
        with self._lock:
            os.write(self._descriptor, line)
        if durable:
            os.fdatasync(self._descriptor)


class Chance:
    """Decides under a seed which calls have an effect and no answer, and how long each takes."""

    def __init__(self, seed: int, noise: float, slowest: float) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.noise = noise
        self._slowest = slowest

    def strikes(self) -> bool:
        with self._lock:
            return self._random.random() < self.noise

    def linger(self) -> None:
        """As long as a call takes: so that a kill can come in the middle of one."""
        with self._lock:
            seconds = self._random.uniform(0, self._slowest)
        time.sleep(seconds)


def _per_worker(
    server: VendorServer,
    asked: Asked,
    answer: Callable[[Asked], Reply],
    journal: Journal,
    chance: Chance,
    paid: Callable[[Asked], str | None],
) -> Reply:
    """Serve a request to `/w/NUMBER/...`; a paid one is journalled before it is answered."""
    _, mark, number, *rest = asked.path.split("/")
    assert mark == "w", asked.path
    inner = Asked(asked.method, "/" + "/".join(rest), asked.query, asked.headers, asked.body)
    subject = paid(inner)
    if subject is not None:
        chance.linger()
    reply = answer(inner)
    if subject is None or reply.status != 200:
        return reply
    cut = chance.strikes()
    journal.note(
        "paid", service=type(server).__name__, subject=subject, worker=int(number), cut=cut
    )
    return CUT if cut else reply


class PaidOpenAI(OpenAIServer):
    def __init__(self, journal: Journal, chance: Chance) -> None:
        super().__init__()
        self._parts = journal, chance

    def handle(self, asked: Asked) -> Reply:
        return _per_worker(self, asked, self.answer, *self._parts, self._paid)

    def _paid(self, asked: Asked) -> str | None:
        if (asked.method, asked.path) != ("POST", "/v1/responses"):
            return None
        return str(openai_server.data_of(asked)["topic"])


class PaidElevenLabs(ElevenLabsServer):
    def __init__(self, journal: Journal, chance: Chance) -> None:
        super().__init__()
        self._parts = journal, chance

    def handle(self, asked: Asked) -> Reply:
        return _per_worker(self, asked, self.answer, *self._parts, self._paid)

    def _remember(self, asked: Asked, audio: bytes, headers: dict[str, Any]) -> None:
        super()._remember(asked, audio, headers)
        if len(self.history) > KEPT_RECORDINGS:  # an old one is looked up by nobody any more
            old = self.history[-KEPT_RECORDINGS - 1]
            old["alignments"] = None
            self._audio.pop(old["history_item_id"], None)

    def _paid(self, asked: Asked) -> str | None:
        speaks = asked.method == "POST" and "/text-to-speech/" in asked.path
        return str(asked.json()["text"]) if speaks else None


class JournalWorld(World):
    """A YouTube that journals and keeps no films."""

    def __init__(self, journal: Journal, chance: Chance, *, inserts: int) -> None:
        super().__init__()
        self._tape, self._chance = journal, chance
        self._owners: dict[str, str] = {}
        self.journal = _Forgetful()
        self.limits = {"videos.insert": inserts, "default": 10**9}

    def fault_for(self, operation: str) -> Fault | None:
        lossy = operation in ("videos.insert", "upload.put", "videos.update", "captions.insert")
        if lossy and self._chance.strikes():
            return Fault(operation, "cut_after")
        return None

    def _spend(self, account: Account, operation: str) -> None:
        self._tape.note(
            "asked",
            durable=False,
            operation=operation,
            project=account.project,
            account=account.client_secret,
        )
        super()._spend(account, operation)

    def open_session(self, account: Account, resource: dict[str, Any], size: int) -> Session:
        session = super().open_session(account, resource, size)
        self._owners[session.id] = account.client_secret
        self._tape.note(
            "session",
            account=account.client_secret,
            project=account.project,
            channel=account.channel_id,
            title=resource["snippet"]["title"],
        )
        return session

    def make_video(self, session: Session) -> str:
        id_ = super().make_video(session)
        self.files[id_] = b""
        session.data = bytearray()
        video = self.videos[id_]
        self._tape.note(
            "video",
            id=id_,
            account=self._owners.pop(session.id),
            channel=session.channel_id,
            title=video["snippet"]["title"],
            privacy=video["status"]["privacyStatus"],
        )
        return id_

    def update_status(self, video: dict[str, Any], status: dict[str, Any]) -> None:
        super().update_status(video, status)
        self._tape.note("privacy", id=video["id"], privacy=video["status"]["privacyStatus"])


class _Forgetful(list[Any]):
    """The fake's own journal would grow with every request; ours is on disk."""

    def append(self, entry: Any) -> None:
        del entry


def script(data: dict[str, Any]) -> dict[str, Any]:
    """A short script, every part of which names its run: the last word of the topic."""
    (fact,) = data["facts"]
    name = data["topic"].split()[-1]

    told = [{"text": f"Here is {name}.", "fact": None}, {"text": fact["text"], "fact": 0}]
    return {
        "hook": [{"text": f"Hello from {name}.", "fact": None}],
        "sections": [{"heading": "Ice", "sentences": told}],
        "outro": [{"text": f"Bye from {name}.", "fact": None}],
        "title": f"All about {data['topic']}",
        "description": f"A short film about {data['topic']}.",
        "tags": ["ice"],
        "thumbnail_text": "Ice",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--inserts", type=int, default=10**9, help="videos.insert a project")
    parser.add_argument("--slowest", type=float, default=0.1)
    options = parser.parse_args()
    elevenlabs_server.CHARACTER_SECONDS = CHARACTER_SECONDS
    openai_server.script = script
    journal, chance = Journal(options.journal), Chance(options.seed, options.noise, options.slowest)
    with (
        PaidOpenAI(journal, chance) as openai,
        PaidElevenLabs(journal, chance) as elevenlabs,
        YouTubeServer(JournalWorld(journal, chance, inserts=options.inserts)) as youtube,
    ):
        print(
            json.dumps(
                {
                    "openai": openai.root,
                    "elevenlabs": elevenlabs.root,
                    "youtube": youtube.root,
                    "token_uri": youtube.token_uri,
                }
            ),
            flush=True,
        )
        sys.stdin.read()


if __name__ == "__main__":
    main()
