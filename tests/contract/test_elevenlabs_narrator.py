"""The ElevenLabs narrator over HTTP: what it asks, what it books, and what it makes of answers."""

import base64
import itertools
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import (
    Ambiguous,
    Deferred,
    OutOfCredit,
    Rejected,
    StageError,
    Transient,
    Waiting,
)
from pipeline.ports import Narrator
from tests.contract.test_narrator import said
from tests.services import elevenlabs_server
from tests.services.elevenlabs_server import (
    CHARACTER_SECONDS,
    ElevenLabsServer,
    alignment_of,
    audio_for,
    refused,
)
from tests.services.http_server import Reply
from tests.services.vendors import PlainCalls, elevenlabs_environment, elevenlabs_narrator
from workers.settings import Settings, SettingsError
from workers.vendors.elevenlabs import make_narrator

TEXT = "The Moon drifts away by 3.8 centimetres every year."
PATH = "/with-timestamps"


@pytest.fixture
def server() -> Iterator[ElevenLabsServer]:
    with ElevenLabsServer() as started:
        yield started


@pytest.fixture
async def narrator(server: ElevenLabsServer) -> AsyncIterator[Narrator]:
    async with elevenlabs_narrator(server, YTEMPIRE_ELEVENLABS_FORMAT="pcm_24000") as made:
        yield made


async def failure(narrator: Narrator, into: Path, text: str = TEXT) -> StageError:
    with pytest.raises(StageError) as caught:
        await narrator.speak(text, language="en", into=into / "x.wav")
    return caught.value


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


async def test_call_is_booked_by_its_cost_header(
    server: ElevenLabsServer, narrator: Narrator, tmp_path: Path
) -> None:
    server.next = [server.says(headers={"character-cost": "40"})]
    (charge,) = (await narrator.speak(TEXT, language="en", into=tmp_path / "x.wav")).charges
    assert (charge.service, charge.units, charge.rate) == ("elevenlabs", 40, Decimal("0.0001"))
    assert (charge.amount, charge.request_id) == (Decimal("0.004"), "xi_req_1")
    assert "estimated" not in charge.metadata


@pytest.mark.parametrize("header", [None, "", "many", "-1", "NaN", "1e400"])
async def test_absent_or_strange_cost_header_is_estimated_and_marked(
    server: ElevenLabsServer, tmp_path: Path, header: str | None
) -> None:
    async with elevenlabs_narrator(server, YTEMPIRE_ELEVENLABS_MODEL="eleven_flash_v2_5") as made:
        server.next = [server.says(headers={"character-cost": header})]
        (charge,) = (await made.speak(TEXT, language="en", into=tmp_path / "x.wav")).charges
    assert (charge.units, charge.metadata["estimated"]) == (Decimal(len(TEXT)) / 2, "yes")


async def test_words_have_the_times_of_their_characters(narrator: Narrator, tmp_path: Path) -> None:
    speech = await said(narrator, TEXT, tmp_path)
    position = 0
    for word in speech.words:
        position = TEXT.index(word.text, position)
        assert word.start == pytest.approx(position * CHARACTER_SECONDS)
        assert word.end == pytest.approx((position + len(word.text)) * CHARACTER_SECONDS)
        position += len(word.text)
    assert speech.duration == pytest.approx(len(TEXT) * CHARACTER_SECONDS, abs=1e-3)


async def test_mp3_is_decoded_to_the_same_length(server: ElevenLabsServer, tmp_path: Path) -> None:
    async with elevenlabs_narrator(server) as made:
        speech = await said(made, TEXT, tmp_path)
    (asked,) = server.asked("POST", PATH)
    assert asked.query["output_format"] == ["mp3_44100_128"]
    assert speech.duration == pytest.approx(len(TEXT) * CHARACTER_SECONDS, abs=0.1)


async def test_emoji_cut_in_half_by_the_alignment_is_timed_as_one(
    server: ElevenLabsServer, narrator: Narrator, tmp_path: Path
) -> None:
    text = "Look 😀 there"
    halves = [*"Look ", "\ud83d", "\ude00", *" there"]
    times = alignment_of("x" * len(halves))
    server.next = [server.says(alignment=times | {"characters": halves})]
    speech = await said(narrator, text, tmp_path)
    assert speech.words[1].start == pytest.approx(5 * CHARACTER_SECONDS)
    assert speech.words[1].end == pytest.approx(7 * CHARACTER_SECONDS)


async def test_words_that_were_read_out_otherwise_share_the_gap(
    server: ElevenLabsServer, narrator: Narrator, tmp_path: Path
) -> None:
    text = "It was 1969 when they came home"
    read = "It was nineteen when they came home"
    audio = encoded(audio_for(read, "pcm_24000"))
    server.next = [
        server.says(audio_base64=audio, alignment=None, normalized_alignment=alignment_of(read))
    ]
    speech = await said(narrator, text, tmp_path)
    assert [round(w.start / CHARACTER_SECONDS) for w in speech.words[3:]] == [16, 21, 26, 31]
    gap = speech.words[2]
    assert (gap.start, gap.end) == (speech.words[1].end, speech.words[3].start)


async def test_recording_without_alignment_is_timed_by_its_sound_and_marked(
    server: ElevenLabsServer, narrator: Narrator, tmp_path: Path
) -> None:
    server.next = [server.says(alignment=None, normalized_alignment=None)]
    (charge,) = (await narrator.speak(TEXT, language="en", into=tmp_path / "x.wav")).charges
    assert charge.metadata["timings"] == "estimated"


HALF = encoded(audio_for(TEXT, "pcm_24000")[: 24_000 * 2])
WRONG_TIMES = alignment_of(TEXT) | {"character_end_times_seconds": [-1.0] * len(TEXT)}


@pytest.mark.parametrize(
    ("changes", "said_of_it"),
    [
        ({"audio_base64": HALF}, "ends after 1.00 s, but speaks until 3.06 s"),
        ({"audio_base64": encoded(b"\x00\x00" * 2_400)}, "do not fit a text"),
        ({"audio_base64": encoded(bytes(2 * 24_000 * 200))}, "do not fit|speaks until"),
        ({"audio_base64": ""}, "empty"),
        ({"audio_base64": "%%%"}, "no audio"),
        ({"audio_base64": None}, "no audio"),
        ({"audio_base64": encoded(b"ID3 this is no music")}, "no audio"),
        ({"audio_base64": encoded(b"RIFF this is no music")}, "no audio"),
        ({"alignment": alignment_of("Something else!")}, "are in the alignment"),
        ({"alignment": {"characters": ["a"]}}, "."),
        ({"alignment": "none"}, "."),
        ({"alignment": WRONG_TIMES}, "alignment has a character"),
    ],
)
async def test_unusable_recording_is_asked_for_once_more_and_both_are_booked(
    server: ElevenLabsServer,
    narrator: Narrator,
    tmp_path: Path,
    changes: dict[str, Any],
    said_of_it: str,
) -> None:
    both = changes | ({"normalized_alignment": None} if "alignment" in changes else {})
    server.next = [server.says(**both)]
    paid = await narrator.speak(TEXT, language="en", into=tmp_path / "x.wav")
    assert [charge.shard for charge in paid.charges] == [0, 1]

    server.next = [server.says(**both), server.says(**both)]
    failed = await failure(narrator, tmp_path)
    assert isinstance(failed, Rejected)
    assert [charge.units for charge in failed.charges] == [len(TEXT)] * 2
    with pytest.raises(Rejected, match=said_of_it):
        raise failed


async def test_long_text_is_spoken_in_parts_with_charges_of_their_own(
    server: ElevenLabsServer, tmp_path: Path
) -> None:
    sentence = "This is one of very many sentences. "
    text = (sentence * 320).strip()
    async with elevenlabs_narrator(server, YTEMPIRE_ELEVENLABS_FORMAT="pcm_8000") as made:
        paid = await made.speak(text, language="en", into=tmp_path / "x.wav")
    asked = [one.json() for one in server.asked("POST", PATH)]
    assert [len(one["text"]) <= 10_000 for one in asked] == [True, True]
    assert all(one["text"].endswith(".") for one in asked)
    assert " ".join(one["text"] for one in asked) == text
    assert [one.get("previous_request_ids") for one in asked] == [None, ["xi_req_1"]]
    assert [(c.shard, c.units) for c in paid.charges] == [
        (number, len(one["text"])) for number, one in enumerate(asked)
    ]
    words = paid.value.words
    assert [word.text for word in words] == text.split()
    assert all(a.end <= b.start for a, b in itertools.pairwise(words))


async def test_model_that_is_not_known_to_join_calls_is_not_asked_to(
    server: ElevenLabsServer, tmp_path: Path
) -> None:
    environment = {
        "YTEMPIRE_ELEVENLABS_FORMAT": "pcm_8000",
        "YTEMPIRE_ELEVENLABS_MODEL": "eleven_v3",
    }
    async with elevenlabs_narrator(server, **environment) as made:
        await made.speak("Nine of ten. " * 400, language="pt-BR", into=tmp_path / "x.wav")
    asked = [one.json() for one in server.asked("POST", PATH)]
    assert len(asked) == 2
    assert not any("previous_request_ids" in one for one in asked)
    assert {one["language_code"] for one in asked} == {"pt"}


async def test_failed_part_keeps_what_the_parts_before_it_cost(
    server: ElevenLabsServer, tmp_path: Path
) -> None:
    server.next = [server.says(), Reply(500, {"detail": "oops"})]
    environment = {
        "YTEMPIRE_ELEVENLABS_FORMAT": "pcm_8000",
        "YTEMPIRE_ELEVENLABS_MODEL": "eleven_v3",
    }
    async with elevenlabs_narrator(server, **environment) as made:
        failed = await failure(made, tmp_path, "Nine of ten. " * 400)
    assert isinstance(failed, Transient)
    assert len(failed.charges) == 1


async def test_out_of_credit_is_told_apart_from_a_bad_key(
    server: ElevenLabsServer, narrator: Narrator, tmp_path: Path
) -> None:
    server.next = [elevenlabs_server.OUT_OF_CREDIT, refused(401, "missing_permissions", "no")]
    spent = await failure(narrator, tmp_path)
    assert isinstance(spent, OutOfCredit)
    assert (spent.service, "credits" in spent.remedy) == ("elevenlabs", True)
    assert timedelta(minutes=59) < spent.until - datetime.now(UTC) <= timedelta(hours=1)
    rights = await failure(narrator, tmp_path)
    assert isinstance(rights, Waiting)
    assert "missing_permissions" in str(rights)
    async with elevenlabs_narrator(server, ELEVENLABS_API_KEY="wrong-canary-5") as wrong:
        refusal = await failure(wrong, tmp_path)
    assert isinstance(refusal, Waiting)
    assert "ELEVENLABS_API_KEY" in str(refusal)
    assert "canary-5" not in "".join(traceback.format_exception(refusal))


@pytest.mark.parametrize(
    ("reply", "kind", "said_of_it"),
    [
        (refused(429, "too_many_concurrent_requests", "4 of 3"), Deferred, "CONCURRENCY"),
        (refused(429, "system_busy", "busy"), Transient, "busy"),
        (refused(429, "rate_limited", "slow", **{"retry-after": "60"}), Deferred, "slow"),
        (refused(402, "payment_required", "pay"), OutOfCredit, "credits"),
        (refused(400, "voice_not_found", "which?"), Rejected, "YTEMPIRE_VOICE"),
        (refused(400, "max_character_limit_exceeded", "long"), Rejected, "long"),
        (Reply(422, {"detail": [{"msg": "Field required"}]}), Rejected, "Field required"),
        (Reply(500, {"detail": "oops"}), Ambiguous, "500"),
        (Reply(503, b"<html></html>", media_type="text/html"), Ambiguous, "503"),
        (Reply(200, b"<html>portal</html>", media_type="text/html"), Ambiguous, "no JSON"),
        (Reply(200, b"\xff\xfe\x00"), Ambiguous, "no JSON"),
        (Reply(302, b"", {"location": "http://127.0.0.1:1/"}), Transient, "302"),
    ],
)
async def test_each_failure_leads_to_its_action(
    server: ElevenLabsServer,
    narrator: Narrator,
    tmp_path: Path,
    reply: Reply,
    kind: type[StageError],
    said_of_it: str,
) -> None:
    server.next = [reply]
    failed = await failure(narrator, tmp_path)
    assert type(failed) is kind
    assert said_of_it in str(failed)
    assert len(server.asked("POST", PATH)) == 1, "the SDK's own retries are off"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("junk", [[1, 2], "text", None, 7, {}, {"audio_base64": 5}])
async def test_garbage_200_is_booked_and_never_a_bug(
    server: ElevenLabsServer, narrator: Narrator, tmp_path: Path, junk: Any
) -> None:
    server.next = [Reply(200, junk, {"character-cost": "9"})] * 2
    failed = await failure(narrator, tmp_path)
    assert {charge.units for charge in failed.charges} <= {9, len(TEXT)}
    assert failed.charges


async def test_nobody_there_is_transient(tmp_path: Path) -> None:
    with ElevenLabsServer() as server:
        environment = elevenlabs_environment(server)
    async with AsyncExitStack() as stack:
        failed = await failure(
            make_narrator(Settings.from_env(environment), stack)(PlainCalls()), tmp_path
        )
    assert isinstance(failed, Transient)


@pytest.mark.parametrize(
    ("environment", "said_of_it"),
    [
        ({}, "ELEVENLABS_API_KEY"),
        ({"ELEVENLABS_API_KEY": "k", "YTEMPIRE_ELEVENLABS_MODEL": "v9"}, "ELEVENLABS_MODEL"),
        ({"ELEVENLABS_API_KEY": "k", "YTEMPIRE_ELEVENLABS_FORMAT": "opus_48000"}, "FORMAT"),
        ({"ELEVENLABS_API_KEY": "k", "YTEMPIRE_PRICES_FILE": "/nowhere"}, "PRICES_FILE"),
    ],
)
async def test_what_is_missing_stops_the_start_by_its_name(
    environment: dict[str, str], said_of_it: str
) -> None:
    settings = Settings.from_env({"YTEMPIRE_VOICE_PROVIDER": "elevenlabs", **environment})
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=said_of_it):
            make_narrator(settings, stack)
