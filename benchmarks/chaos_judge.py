"""The verdict on a chaos run, from the journal of the services alone."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.failpoints import Point

# An answer may be on its way into the spool for so long after the service has sent it.
HANDOVER_SECONDS = 2.0
# A request may be on its way to the service for so long after its sender was killed.
SENDING_SECONDS = 1.0
LOOKED_UP = "PaidElevenLabs"


@dataclasses.dataclass(frozen=True)
class Hurt:
    """What was done to a worker. `point` is None for a kill at a random moment."""

    at: float
    point: str | None


@dataclasses.dataclass(frozen=True)
class Expected:
    """What was asked for. `channels`: of each run's name the YouTube channel it belongs on;
    `limits`: the uploads a day of each account, `inserts`: the requests of videos.insert of each
    project; `hurt`: by the number of the worker."""

    channels: Mapping[str, str]
    limits: Mapping[str, int]
    hurt: Mapping[int, list[Hurt]]
    inserts: int


@dataclasses.dataclass
class Verdict:
    """Counts, and what is wrong in words."""

    runs: int
    published: int = 0
    lost: int = 0
    published_twice: int = 0
    wrong_channel: int = 0
    oversold: int = 0
    public_uploads: int = 0
    paid_calls: int = 0
    paid_twice: int = 0
    paid_twice_allowed: int = 0
    cut_calls: int = 0
    drafts: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """The promises that do not hold."""
        names = ("lost", "published_twice", "wrong_channel", "oversold", "public_uploads")
        found = [f"{name} {getattr(self, name)}" for name in names if getattr(self, name)]
        if self.paid_twice > self.paid_twice_allowed:
            found.append(f"paid_twice {self.paid_twice} > {self.paid_twice_allowed}")
        return found

    def bound(self, count: int) -> str:
        """The 95 % upper bound of a rate for which nothing was seen in so many trials."""
        return f"< {3 / max(1, count):.2g}"


def judge(journal: Path, expected: Expected) -> Verdict:
    """Read the journal and count what must not be."""
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    verdict = Verdict(runs=len(expected.channels))
    _judge_videos(entries, expected, verdict)
    _judge_payments(entries, expected, verdict)
    made = Counter(e["account"] for e in entries if e["kind"] == "video")
    asked = Counter(
        e["project"] for e in entries if e["kind"] == "asked" and e["operation"] == "videos.insert"
    )
    for what, counts, limits in (
        ("account", made, expected.limits),
        ("project", asked, dict.fromkeys(asked, expected.inserts)),
    ):
        for name, count in counts.items():
            over = count - limits[name]
            if over > 0:
                verdict.oversold += over
                verdict.examples.append(f"{what} {name}: {count}, and {count - over} are allowed")
    return verdict


def _judge_videos(entries: list[dict[str, Any]], expected: Expected, verdict: Verdict) -> None:
    videos = {e["id"]: e for e in entries if e["kind"] == "video"}
    verdict.public_uploads = sum(1 for video in videos.values() if video["privacy"] != "private")
    shown = {e["id"] for e in entries if e["kind"] == "privacy" and e["privacy"] == "public"}
    shown |= {id_ for id_, video in videos.items() if video["privacy"] == "public"}
    of_run: dict[str, list[str]] = defaultdict(list)
    for id_ in shown:
        video = videos[id_]
        name = video["title"].split()[-1]
        of_run[name].append(id_)
        if expected.channels.get(name) != video["channel"]:
            verdict.wrong_channel += 1
            verdict.examples.append(f"{name} on {video['channel']}")
    for name in expected.channels:
        count = len(of_run.get(name, ()))
        verdict.published += count > 0
        if count == 0:
            verdict.lost += 1
            verdict.examples.append(f"{name} never published")
        if count > 1:
            verdict.published_twice += 1
            verdict.examples.append(f"{name} published {count} times")
    verdict.drafts = len(videos) - len(shown)


def _judge_payments(entries: list[dict[str, Any]], expected: Expected, verdict: Verdict) -> None:
    paid: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        if entry["kind"] == "paid":
            paid[entry["service"], entry["subject"]].append(entry)
            verdict.paid_calls += 1
            verdict.cut_calls += entry["cut"]
    for (service, subject), calls in paid.items():
        again = len(calls) - 1
        if not again:
            continue
        verdict.paid_twice += again
        # Only the last of them was surely made in full knowledge of the others.
        excused = sum(_in_flight(call, expected) for call in calls[:-1])
        verdict.paid_twice_allowed += min(again, excused)
        if again > excused:
            verdict.examples.append(f"{service}: {subject!r} paid {len(calls)} times")


def _in_flight(call: dict[str, Any], expected: Expected) -> bool:
    """Whether its caller was hurt before it could keep the answer, or never got one, and the
    service cannot be asked, as ElevenLabs can."""
    if call["service"] == LOOKED_UP:
        return False
    return bool(call["cut"]) or any(
        call["at"] - SENDING_SECONDS < blow.at < call["at"] + HANDOVER_SECONDS
        and (blow.point is None or blow.point == Point.AFTER_SEND)
        for blow in expected.hurt.get(call["worker"], [])
    )
