"""OpenAI and ElevenLabs through the call ledger: real SDKs, real HTTP, real Postgres.

What was paid is read from the vendors' own journals, not from our rows.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.pool import Pool
from pipeline.domain import Script, Section, SectionKind, Sentence
from pipeline.errors import Deferred, Rejected, Transient
from pipeline.ports import CallLedger
from pipeline.providers.store import ObjectStore
from pipeline.stages.voice import Narrated, narrate
from tests.contract.test_script_writer import CHANNEL, TOPIC
from tests.integration.workers.ledgers import Bench, make_bench
from tests.services.elevenlabs_server import ElevenLabsServer, mp3
from tests.services.http_server import Reply
from tests.services.openai_server import USAGE_COST, OpenAIServer, error, refusal
from tests.services.vendors import elevenlabs_environment, openai_environment
from workers.registry import NarratorFor, WriterFor
from workers.settings import Settings
from workers.vendors.elevenlabs import make_narrator
from workers.vendors.openai import make_writer

PAGE = Reply(200, b"<html>portal</html>", media_type="text/html")


@pytest.fixture
async def bench(pool: Pool, tmp_path: Path) -> Bench:
    return await make_bench(pool, tmp_path)


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def elevenlabs() -> Iterator[ElevenLabsServer]:
    with ElevenLabsServer() as server:
        yield server


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def writers(server: OpenAIServer, stack: AsyncExitStack, background: str = "off") -> WriterFor:
    environment = openai_environment(server) | {"YTEMPIRE_OPENAI_BACKGROUND": background}
    return make_writer(Settings.from_env(environment), stack)


def narrators(server: ElevenLabsServer, stack: AsyncExitStack, audio: str) -> NarratorFor:
    environment = elevenlabs_environment(server) | {"YTEMPIRE_ELEVENLABS_FORMAT": audio}
    return make_narrator(Settings.from_env(environment), stack)


def posts(server: OpenAIServer) -> int:
    return len(server.asked("POST", "/responses"))


async def test_response_says_whose_it_is_and_is_stored(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    await writers(openai, stack)(await bench.claim()).write(TOPIC, CHANNEL)
    (row,) = await bench.rows()
    (asked,) = openai.asked("POST", "/responses")
    assert asked.json()["metadata"] == {"ytempire_call": str(row["id"])}
    assert asked.json()["store"] is True
    assert "background" not in asked.json()
    assert (row["provider_ref"], row["amount_actual"]) == ("resp_1", Decimal(USAGE_COST))
    assert row["amount_actual"] < row["amount_reserved"] < 1


@pytest.mark.parametrize("background", ["off", "on"])
async def test_repaired_script_is_replayed_whole(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack, background: str
) -> None:
    make = writers(openai, stack, background)
    openai.next = [openai.says("not a script \ud83d")]
    first = await make(await bench.claim()).write(TOPIC, CHANNEL)
    again = await make(await bench.claim(host="host-b")).write(TOPIC, CHANNEL)
    assert again == first
    assert len(first.charges) == 2
    assert posts(openai) == len(openai.charged) == 2
    assert await bench.booked() == [Decimal(USAGE_COST)] * 2


async def test_response_in_the_background_is_polled_and_booked_exactly(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    openai.polls = 2
    paid = await writers(openai, stack, "on")(await bench.claim()).write(TOPIC, CHANNEL)
    assert [c.amount for c in paid.charges] == [Decimal(USAGE_COST)]
    assert paid.charges[0].request_id == "req_1", "of the request that was charged"
    assert len(openai.asked("GET", "/responses/resp_1")) == 3


async def test_response_in_the_background_outlives_its_worker(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    make = writers(openai, stack, "on")
    openai.polls = 10**6
    dying = asyncio.create_task(make(await bench.claim()).write(TOPIC, CHANNEL))
    while not openai.asked("GET", "/responses/"):
        await asyncio.sleep(0.02)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    (row,) = await bench.rows()
    assert (row["status"], row["provider_ref"]) == ("intent", "resp_1")

    openai.polls = 0
    paid = await make(await bench.claim(host="host-b")).write(TOPIC, CHANNEL)
    assert paid.charges[0].amount == Decimal(USAGE_COST)
    assert posts(openai) == 1
    assert await bench.booked() == [Decimal(USAGE_COST)]


async def test_lost_answer_in_the_foreground_settles_and_costs_one_call_more(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    make = writers(openai, stack)
    openai.next = [openai.loses]
    with pytest.raises(Deferred, match="whether it charged is unknown") as caught:
        await make(await bench.claim()).write(TOPIC, CHANNEL)
    (row,) = await bench.rows()
    assert caught.value.until == row["settle_at"]
    with pytest.raises(Deferred, match="may still take effect"):
        await make(await bench.claim()).write(TOPIC, CHANNEL)
    assert posts(openai) == 1

    await bench.settle()
    await make(await bench.claim()).write(TOPIC, CHANNEL)
    assert await bench.statuses() == ["unknown", "done"]
    assert len(openai.charged) == 2


async def test_refusal_is_booked_once_however_often_it_is_read(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    make = writers(openai, stack)
    openai.next = [lambda asked: openai.completed(asked, [refusal("I cannot.")])]
    for _ in range(2):
        with pytest.raises(Rejected, match="I cannot"):
            await make(await bench.claim()).write(TOPIC, CHANNEL)
    assert posts(openai) == 1
    assert await bench.booked() == [Decimal(USAGE_COST)]


async def test_answer_that_failed_at_the_service_is_booked_and_asked_for_anew(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    make = writers(openai, stack)
    told = {"code": "server_error", "message": "The model is on fire."}
    openai.next = [PAGE, openai.says("", status="failed", error=told), error(500, None, "oops")]
    for _ in range(3):
        with pytest.raises(Transient):
            await make(await bench.claim()).write(TOPIC, CHANNEL)
    await make(await bench.claim()).write(TOPIC, CHANNEL)
    assert await bench.statuses() == ["failed", "failed", "failed", "done"]
    assert await bench.booked() == [Decimal(USAGE_COST)] * 2


def long_script(sections: int = 12) -> Script:
    return Script(
        title="t",
        description="d",
        tags=(),
        thumbnail_text="t",
        language="en",
        sections=tuple(
            Section(SectionKind.BODY, f"{n}", (Sentence(f"Part {n} is spoken here.", 0),))
            for n in range(sections)
        ),
    )


async def spoken(
    bench: Bench, make: NarratorFor, script: Script, *, host: str = "host-a"
) -> Narrated:
    calls: CallLedger = await bench.claim(host=host)
    scratch = bench.folder / host / f"speech-{len(list((bench.folder / host).iterdir()))}"
    scratch.mkdir(parents=True)
    return await narrate(
        script,
        narrator=make(calls),
        store=ObjectStore((bench.folder / "artifacts").as_uri()),
        scratch=scratch,
        folder="videos/x",
    )


def fail_at(server: ElevenLabsServer, number: int, how: Any) -> None:
    server.next = [*[server.spoken] * (number - 1), how]


@pytest.mark.parametrize("audio", ["pcm_24000", "mp3_44100_128"])
async def test_lost_part_of_a_narration_is_found_in_the_history_and_nothing_is_repaid(
    bench: Bench, elevenlabs: ElevenLabsServer, stack: AsyncExitStack, audio: str
) -> None:
    make = narrators(elevenlabs, stack, audio)
    elevenlabs.page_size = 1
    fail_at(elevenlabs, 7, elevenlabs.loses)
    with pytest.raises(Deferred, match="whether it charged"):
        await spoken(bench, make, long_script())
    assert len(await bench.rows()) == 7
    await bench.settle()
    narrated = await spoken(bench, make, long_script(), host="host-b")
    assert len(elevenlabs.history) == 12
    assert [row["shard"] for row in await bench.rows()] == [0] * 12
    assert sum(await bench.booked()) == sum(c.amount for c in narrated.charges)
    assert {c.request_id for c in narrated.charges} == {
        item["request_id"] for item in elevenlabs.history
    }

    undisturbed = await make_bench(bench.pool, bench.folder / "other")
    same = await spoken(undisturbed, make, long_script())
    assert same.narration.sections == narrated.narration.sections
    assert same.narration.audio.sha256 == narrated.narration.audio.sha256


async def test_crash_at_part_seven_of_twelve_repays_one_at_most_without_a_history(
    bench: Bench, elevenlabs: ElevenLabsServer, stack: AsyncExitStack
) -> None:
    make = narrators(elevenlabs, stack, "pcm_8000")
    elevenlabs.may_read_history = False
    fail_at(elevenlabs, 7, elevenlabs.loses)
    with pytest.raises(Deferred):
        await spoken(bench, make, long_script())
    await bench.settle()
    await spoken(bench, make, long_script())
    assert len(elevenlabs.history) == 13
    assert len(await bench.booked()) == 12
    assert (await bench.statuses()).count("unknown") == 1


async def test_recording_of_another_run_is_not_taken_for_the_lost_one(
    bench: Bench, elevenlabs: ElevenLabsServer, stack: AsyncExitStack
) -> None:
    make = narrators(elevenlabs, stack, "pcm_8000")
    other = await make_bench(bench.pool, bench.folder / "other")
    await spoken(other, make, long_script(1))
    elevenlabs.next = [Reply(lost=True)]
    with pytest.raises(Deferred):
        await spoken(bench, make, long_script(1))
    await bench.settle()
    await spoken(bench, make, long_script(1))
    assert len(elevenlabs.history) == 2
    assert await bench.statuses() == ["done", "failed", "done"]


async def test_recording_that_the_history_keeps_as_mp3_is_decoded_as_such(
    bench: Bench, elevenlabs: ElevenLabsServer, stack: AsyncExitStack
) -> None:
    make = narrators(elevenlabs, stack, "pcm_24000")
    elevenlabs.next = [elevenlabs.loses]
    with pytest.raises(Deferred):
        await spoken(bench, make, long_script(1))
    (item,) = elevenlabs.history
    pcm, _ = elevenlabs._audio[item["history_item_id"]]
    elevenlabs._audio[item["history_item_id"]] = (mp3(pcm, 24_000), "audio/mpeg")
    item["content_type"] = "audio/mpeg"
    await bench.settle()
    narrated = await spoken(bench, make, long_script(1))
    assert narrated.narration.duration == pytest.approx(len(pcm) / 48_000 + 1.2, abs=0.1)
    assert len(elevenlabs.history) == 1


async def test_garbage_of_a_vendor_that_did_the_work_is_found_in_its_history(
    bench: Bench, elevenlabs: ElevenLabsServer, stack: AsyncExitStack
) -> None:
    make = narrators(elevenlabs, stack, "pcm_8000")

    def mangled(asked: Any) -> Reply:
        return replace(elevenlabs.spoken(asked), body=b"<html>", media_type="text/html")

    def failed(asked: Any) -> Reply:
        return replace(elevenlabs.spoken(asked), body={"detail": "oops"}, status=500)

    for how in (mangled, failed):
        elevenlabs.next = [how]
        script = long_script(1 + len(elevenlabs.history))
        with pytest.raises(Transient):
            await spoken(bench, make, script)
        with pytest.raises(Deferred, match="may still take effect"):
            await spoken(bench, make, script)
        await bench.settle()
        await spoken(bench, make, script)
    assert len(elevenlabs.history) == len(await bench.booked()) == 2


async def test_page_that_answers_a_poll_is_no_answer(
    bench: Bench, openai: OpenAIServer, stack: AsyncExitStack
) -> None:
    openai.poll_replies = [PAGE, error(500, None, "oops"), Reply(lost=True)]
    await writers(openai, stack, "on")(await bench.claim()).write(TOPIC, CHANNEL)
    assert posts(openai) == 1
    assert await bench.booked() == [Decimal(USAGE_COST)]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (PAGE, "intent"),
        (Reply(200, [1, 2]), "intent"),
        (Reply(500, {"detail": "oops"}), "intent"),
        (Reply(404, {"detail": "Not Found"}), "unknown"),
        (Reply(401, {"detail": {"status": "missing_permissions", "message": "m"}}), "unknown"),
    ],
)
async def test_history_that_cannot_be_read_is_asked_again_or_given_up(
    bench: Bench,
    elevenlabs: ElevenLabsServer,
    stack: AsyncExitStack,
    reply: Reply,
    status: str,
) -> None:
    make = narrators(elevenlabs, stack, "pcm_8000")
    elevenlabs.next = [elevenlabs.loses]
    with pytest.raises(Deferred):
        await spoken(bench, make, long_script(1))
    await bench.settle()
    elevenlabs.history_reply = reply
    if status == "intent":
        with pytest.raises(Deferred, match="cannot be looked up now"):
            await spoken(bench, make, long_script(1))
    else:
        await spoken(bench, make, long_script(1))
    assert (await bench.statuses())[0] == status
